//! The file format: readable by others, read back as written, honest about bad lines.

use mainstay_check::history::{
    Answer, Blob, Cmp, Compare, Failure, FailureKind, HistoryWriter, KeyValue, Op, OpResult,
    Operation, Outcome, PutOp, RangeOp, Record, Target, TxnOp, read_history,
};

fn sample() -> Operation {
    let put = PutOp {
        key: "a".into(),
        value: vec![0xff, 0x00].into(),
        ..PutOp::default()
    };
    Operation {
        client: 1,
        member: 2,
        id: 3,
        op: Op::Txn(TxnOp {
            compares: vec![Compare {
                key: "a".into(),
                end: Blob::default(),
                target: Target::Mod(4),
                cmp: Cmp::Equal,
            }],
            then: vec![Op::Put(put)],
            otherwise: vec![Op::Range(RangeOp {
                key: "a".into(),
                ..RangeOp::default()
            })],
        }),
        call: 10,
        returned: Some(20),
        outcome: Outcome::Ok,
        result: Some(OpResult {
            revision: 5,
            answer: Answer::Txn {
                succeeded: false,
                responses: vec![Answer::Range {
                    kvs: vec![KeyValue {
                        key: "a".into(),
                        value: "v".into(),
                        create: 2,
                        modified: 5,
                        version: 3,
                        lease: 0,
                    }],
                    count: 1,
                    more: false,
                }],
            },
        }),
        error: None,
    }
}

#[test]
fn an_operation_is_one_readable_line() {
    let text = serde_json::to_string(&Record::Operation(sample())).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"operation":{"client":1,"member":2,"id":3,"op":{"txn":{"compares":[{"key":"a","#,
            r#""target":{"mod":4},"cmp":"="}],"then":[{"put":{"key":"a","value":{"hex":"ff00"}}}],"#,
            r#""else":[{"range":{"key":"a"}}]}},"call":10,"return":20,"outcome":"ok","#,
            r#""result":{"revision":5,"answer":{"txn":{"succeeded":false,"responses":[{"range":{"kvs":[{"#,
            r#""key":"a","value":"v","create":2,"mod":5,"version":3}],"count":1}}]}}}}}"#
        )
    );
}

#[test]
fn what_was_written_is_read_back() {
    let mut compact = sample();
    compact.op = Op::Compact { revision: 7 };
    compact.result = Some(OpResult {
        revision: 9,
        answer: Answer::Compact,
    });
    let mut failed = sample();
    failed.outcome = Outcome::Fail;
    failed.result = None;
    failed.error = Some(Failure::from_text(
        "etcdserver: mvcc: required revision has been compacted",
    ));
    let operations = vec![sample(), compact, failed];
    let mut writer = HistoryWriter::new(Vec::new());
    for operation in &operations {
        writer.write(&Record::Operation(operation.clone())).unwrap();
    }
    let file = writer.finish().unwrap();
    let reading = read_history(file.as_slice()).unwrap();
    assert_eq!(reading.bad, []);
    assert_eq!(reading.history.operations, operations);
    let kind = reading.history.operations[2].error.as_ref().unwrap().kind;
    assert_eq!(kind, FailureKind::Compacted);
}

#[test]
fn bad_lines_are_named_and_the_others_kept() {
    let good = serde_json::to_string(&Record::Operation(sample())).unwrap();
    let file =
        format!("{good}\n\n{{\"operation\":{{\"client\":1}}}}\nnonsense\n{good}\n{{\"wat\":1}}");
    let reading = read_history(file.as_bytes()).unwrap();
    assert_eq!(reading.history.operations.len(), 2);
    assert_eq!(reading.bad_count, 3);
    let lines: Vec<u64> = reading.bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [3, 4, 6]);
    assert!(
        reading.bad[0].reason.contains("missing field"),
        "{:?}",
        reading.bad[0]
    );
    assert!(
        reading.bad[2].reason.contains("unknown variant"),
        "{:?}",
        reading.bad[2]
    );
}
