//! put, get, del, txn and compaction.

use crate::compare;
use crate::session::Session;

async fn fill(session: &mut Session) {
    for (key, value) in [("a", "4"), ("b", "3"), ("c", "2"), ("ca", "1"), ("d", "0")] {
        session.run(&format!("put {key} {value}")).await;
    }
    session.run("put b 33").await;
    session.run("put b 333").await;
    session.run("put a 44").await;
}

#[tokio::test]
async fn put_and_get_in_every_format() {
    compare(1, async |session| {
        session.run_formats("put k v").await;
        session.run_formats("put k w --prev-kv").await;
        session.run_formats("get k").await;
        session.run_formats("get missing").await;
        session.run_formats("get k --count-only").await;
        session.run_formats("get k --keys-only").await;
        session.run_formats("get k --hex").await;
        session.run_formats("del k --prev-kv").await;
        session.run_formats("del k").await;
        session
            .run_words(&["put", "spaces and ünïcode", "line\nbreak\ttab"], "")
            .await;
        session
            .run_words(&["get", "spaces and ünïcode", "-w", "json"], "")
            .await;
        session
            .run_words(&["get", "spaces and ünïcode", "-w", "fields"], "")
            .await;
        session
            .run_words(&["put", "--", "-dash", "-value"], "")
            .await;
        session.run_words(&["get", "--", "-dash"], "").await;
        session.run_input("put from-stdin", "typed\nvalue").await;
        session.run("get from-stdin -w json").await;
        session.run_words(&["put", "empty", ""], "").await;
        session.run("get empty -w json").await;
    })
    .await;
}

#[tokio::test]
async fn get_with_every_option() {
    compare(1, async |session| {
        fill(session).await;
        for options in [
            "a",
            "a c",
            "c --prefix",
            "a d",
            "d a",
            "b --from-key",
            "--prefix",
            "--from-key",
            "a z --limit=2",
            "a z --limit=5",
            "a z --limit=100",
            "a z --count-only",
            "a z --keys-only",
            "a z --print-value-only",
            "a --rev=2",
            "b --rev=3",
            "b --rev=7",
            "b --rev=8",
            "b --rev=1",
            "a z --rev=4",
            "a z --rev=100",
            "a --consistency=s",
            "a --consistency=l",
            "a --consistency=x",
        ] {
            session.run(&format!("get {options}")).await;
            session.run(&format!("get {options} -w json")).await;
        }
        for order in ["ASCEND", "DESCEND", "ascend", "sideways"] {
            for target in ["CREATE", "KEY", "MODIFY", "VALUE", "VERSION", "MOOD"] {
                session
                    .run(&format!(
                        "get a z --order={order} --sort-by={target} -w json"
                    ))
                    .await;
            }
        }
        for target in ["CREATE", "KEY", "MODIFY", "VALUE", "VERSION"] {
            session
                .run(&format!("get a z --sort-by={target} --limit=2 -w json"))
                .await;
            session
                .run(&format!(
                    "get a z --order=DESCEND --sort-by={target} --limit=3"
                ))
                .await;
        }
        session
            .run_words(&["get", "", "--prefix", "-w", "json"], "")
            .await;
        session
            .run_words(&["get", "", "--from-key", "--keys-only"], "")
            .await;
        session.run_words(&["get", ""], "").await;
        session.run("get a --prefix --from-key").await;
        session.run("get a b c").await;
        session.run("get").await;
        session.run("get --nonsense").await;
        session.run_formats("get a z --rev=5 --limit=2").await;
    })
    .await;
}

#[tokio::test]
async fn delete_with_every_option() {
    compare(1, async |session| {
        fill(session).await;
        session.run_formats("del ca --prev-kv").await;
        session.run("del a c --prev-kv").await;
        session.run("get --prefix -w json").await;
        fill(session).await;
        session.run("del c --prefix --prev-kv -w json").await;
        session.run("del b --from-key").await;
        session.run("get --prefix -w json").await;
        session.run("del missing").await;
        session.run("del missing --prev-kv -w json").await;
        session.run("put again 1").await;
        session.run("get again -w json").await;
        session.run("del").await;
        session.run("del a b c").await;
        session.run_words(&["del", ""], "").await;
        session.run_words(&["del", "", "--prefix"], "").await;
        session.run("get --prefix --count-only -w fields").await;
    })
    .await;
}

#[tokio::test]
async fn put_with_every_option_and_wrong_input() {
    compare(1, async |session| {
        let lease = session.grant(300).await;
        session.run(&format!("put k v --lease={lease}")).await;
        session.run("get k -w fields").await;
        session.run("put k --ignore-value").await;
        session.run("get k -w fields").await;
        session.run(&format!("put k v2 --lease={lease}")).await;
        session.run("put k v3 --ignore-lease --prev-kv").await;
        session.run("get k -w json").await;
        session.run("put missing --ignore-value").await;
        session.run("put missing v --ignore-lease").await;
        session.run("put k v --ignore-value").await;
        session
            .run(&format!("put k v --ignore-lease --lease={lease}"))
            .await;
        session.run("put k v --lease=123").await;
        session.run("put k v --lease=nothex").await;
        session.run_words(&["put", "", "v"], "").await;
        session.run("put").await;
        session.run("put a b c").await;
        session.run("get k --keys-only -w json").await;
        session.run("get k --keys-only -w fields").await;
        session.run("put k v -w nonsense").await;
        session.run("nonsense").await;
    })
    .await;
}

const TXN: &str =
    "value(\"a\") = \"1\"\nversion(\"b\") > \"0\"\n\nput c 3\nget a\ndel b\n\nget b\n\n";

#[tokio::test]
async fn transactions() {
    compare(1, async |session| {
        session.run("put a 1").await;
        session.run_input("txn", TXN).await;
        session.run("put b 2").await;
        session.run_input("txn", TXN).await;
        session.run_input("txn -i", TXN).await;
        for format in crate::FORMATS {
            session.run("put b 2").await;
            session.run_input(&format!("txn -w {format}"), TXN).await;
        }
        for compare in [
            "mod(\"a\") < \"100\"",
            "create(\"a\") = \"2\"",
            "version(\"a\") != \"7\"",
            "value(\"missing\") != \"x\"",
            "version(\"missing\") = \"0\"",
            "value(\"a\") > \"0\"",
            "mod(\"missing\") = \"0\"",
            "create(\"missing\") < \"1\"",
        ] {
            let input = format!("{compare}\n\nget a\n\nget b\n\n");
            session.run_input("txn -w json", &input).await;
        }
        session.run_input("txn", "\n\n\n").await;
        session.run_input("txn", "\nput x 1\nget x\n\n\n").await;
        session.run_input("txn", "\nput x 1\nput x 2\n\n\n").await;
        session.run_input("txn", "\ndel x\nput x 2\n\n\n").await;
        session.run_input("txn", "\ndel x y\nput x1 2\n\n\n").await;
        session
            .run_input("txn", "\nput y 1\ndel y\nget y\n\n\n")
            .await;
        session
            .run_input("txn", "\nput z 1 --prev-kv\nput w 1 --lease=77\n\n\n")
            .await;
        session
            .run_input("txn", "\nget a --rev=999\nput q 1\n\n\n")
            .await;
        session.run_input("txn", "nonsense\n\n\n\n").await;
        session.run_input("txn", "\nfrob a\n\n\n").await;
        let many: String = (0..129).map(|index| format!("put m{index} 1\n")).collect();
        session.run_input("txn", &format!("\n{many}\n\n")).await;
        let most: String = (0..128).map(|index| format!("put m{index} 1\n")).collect();
        session.run_input("txn", &format!("\n{most}\n\n")).await;
        session.run("get --prefix --count-only -w fields").await;
    })
    .await;
}

#[tokio::test]
async fn compaction() {
    compare(1, async |session| {
        fill(session).await;
        session.run_formats("compaction 5").await;
        session.run("get b --rev=5 -w json").await;
        session.run("get b --rev=4").await;
        session.run("compaction 5").await;
        session.run("compaction 4").await;
        session.run("compaction 999").await;
        session.run("compaction 6 --physical").await;
        session.run("compaction").await;
        session.run("compaction 1 2").await;
        session.run("compaction x").await;
        session.run("compaction -- -1").await;
        session.run("compaction 9").await;
        session.run("get --prefix -w json").await;
        session.run("get a --rev=8 -w json").await;
        session.run("endpoint hashkv -w json").await;
    })
    .await;
}
