//! The answers that upstream's kube-apiserver gave, from ours: `make compare-upstream` asks both anew.

use std::path::Path;

use mainstay_tests::upstream::{
    Accepted, Contender, KINDS, Pki, ask, compare, files, golden, prepare,
};

/// Sessions need a kubectl, whose own words change between its versions: they are compared by hand.
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
            for difference in compare(&name, &expected, &answers, &accepted) {
                match &difference.accepted {
                    Some(reason) => eprintln!("{name}: {} differs: {reason}", difference.title),
                    None => differ.push(format!(
                        "{name}: {}\n    {}",
                        difference.title,
                        difference.lines.join("\n    ")
                    )),
                }
            }
        }
    }
    assert!(asked > 600, "only {asked} answers are recorded");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
