//! The answers that upstream's kube-apiserver gave, from ours: `make compare-upstream` asks both anew.

#![expect(
    clippy::print_stderr,
    reason = "says which answers differ for a reason, and what was not asked"
)]

use std::path::Path;

use mainstay_tests::upstream::{
    Accepted, Contender, KINDS, Kubectl, Pki, Section, ask, compare, files, folder, golden, prepare,
};

/// What needs no kubectl.
const ASKED: [&str; 2] = ["objects", "http"];

#[tokio::test]
async fn answers_are_those_that_upstream_gave() {
    let pki = Pki::default();
    let server = Contender::mainstay(&pki).await;
    prepare(&server).await;
    let accepted = Accepted::read();
    let mut asked = 0;
    let mut differ = Vec::new();
    for (kind, end) in KINDS.into_iter().filter(|(kind, _)| ASKED.contains(kind)) {
        for file in files(kind, end) {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("{kind}/{stem}");
            let expected = golden(&name);
            assert!(!expected.is_empty(), "nothing recorded of {name}");
            asked += expected.len();
            let answers = ask(&server, &file, Path::new("kubectl")).await;
            differ.extend(differences(&name, &expected, &answers, &accepted));
        }
    }
    assert!(asked > 600, "only {asked} answers are recorded");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Lines of shell, each answered as upstream answered it to the same kubectl.
#[tokio::test]
async fn sessions_with_kubectl_go_as_they_went_with_upstream() {
    let Some(kubectl) = Kubectl::recorded() else {
        let versions = Kubectl::versions();
        eprintln!("SKIPPED: answers are recorded for kubectl {versions:?}, and there is none here");
        return;
    };
    let pki = Pki::default();
    // One of them looks at all namespaces; the others only at their own.
    let (alone, shared) = (
        Contender::mainstay(&pki).await,
        Contender::mainstay(&pki).await,
    );
    tokio::join!(prepare(&alone), prepare(&shared));
    let run = async |server: &Contender, session: &str| {
        let file = folder().join(format!("sessions/{session}.sh"));
        let expected = kubectl.golden(session);
        assert!(expected.len() > 50, "little is recorded of {session}");
        let answers = ask(server, &file, &kubectl.path).await;
        let name = format!("sessions/{session}");
        differences(&name, &expected, &answers, &Accepted::read())
    };
    let (cluster, daily, generators) = tokio::join!(
        run(&alone, "cluster"),
        run(&shared, "daily"),
        run(&shared, "generators"),
    );
    let differ = [cluster, daily, generators].concat();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Answers that differ without a reason; those with one are shown.
fn differences(
    name: &str,
    expected: &[Section],
    answers: &[Section],
    accepted: &Accepted,
) -> Vec<String> {
    let mut differ = Vec::new();
    for difference in compare(name, expected, answers, accepted) {
        match &difference.accepted {
            Some(reason) => eprintln!("{name}: {} differs: {reason}", difference.title),
            None => differ.push(format!(
                "{name}: {}\n    {}",
                difference.title,
                difference.lines.join("\n    ")
            )),
        }
    }
    differ
}
