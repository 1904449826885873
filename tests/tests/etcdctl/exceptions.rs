//! Where etcd 3.7, whose behaviour the server follows, answers differently from the etcd 3.4 it is compared with.

/// One difference: which commands it concerns, why, and how both outputs are made equal.
struct Exception {
    #[expect(dead_code, reason = "the reason is for the reader of this list")]
    reason: &'static str,
    applies: fn(&str) -> bool,
    rewrite: fn(&str) -> String,
}

/// The complete list. Versions, sizes, raft numbers, hashes and ids are not here: those are normalised always.
const EXCEPTIONS: &[Exception] = &[Exception {
    reason: "3.4 answers Alarm GET without a header, 3.7 with one",
    applies: |command| command.starts_with("alarm list"),
    rewrite: without_header,
}];

fn without_header(output: &str) -> String {
    let lines = output
        .lines()
        .filter(|line| !line.starts_with("header:") && !line.is_empty());
    let lines = lines.map(|line| match line.split_once("\"header\":{") {
        Some((before, rest)) => {
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            format!("{before}{}\n", after.trim_start_matches(','))
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Rewrites the output of a command by every exception that applies to it.
pub(crate) fn apply(command: &str, output: &str) -> String {
    EXCEPTIONS
        .iter()
        .filter(|exception| (exception.applies)(command))
        .fold(output.to_owned(), |output, exception| {
            (exception.rewrite)(&output)
        })
}

#[test]
fn alarm_header_is_excepted() {
    let with = "{\"header\":{\"cluster_id\":<id1>,\"revision\":2}}\n\n--- exit Some(0)\n";
    assert_eq!(apply("alarm list -w json", with), "{}\n--- exit Some(0)\n");
    let binary = "header: <id1> <id2>\n\n--- exit Some(0)\n";
    assert_eq!(
        apply("alarm list -w protobuf", binary),
        apply("alarm list", "\n--- exit Some(0)\n")
    );
}
