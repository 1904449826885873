//! watch, by arguments and interactively.

use crate::compare;
use crate::session::{Following, Session};
use std::time::Duration;

/// Makes sure a watch that starts "now" has started: writes markers until it shows one, and forgets those.
async fn started(session: &mut Session, following: &mut Following, key: &str) {
    for attempt in 0..500 {
        let marker = format!("marker-{attempt}");
        session
            .cluster
            .raw(0)
            .set(key.to_owned(), marker.clone())
            .await
            .unwrap();
        if following
            .skip_to("marker-", Duration::from_millis(50))
            .await
        {
            // Later attempts may have been seen already, or not: a last, different one ends them.
            session
                .cluster
                .raw(0)
                .set(key.to_owned(), "last-marker")
                .await
                .unwrap();
            assert!(
                following
                    .skip_to("last-marker", Duration::from_secs(15))
                    .await
            );
            return;
        }
    }
    panic!("the watch never started");
}

#[tokio::test]
async fn watch_from_a_revision() {
    compare(1, async |session| {
        session.run("put w/a 1").await;
        session.run("put w/b 2").await;
        session.run("put w/a 3").await;
        session.run("del w/a").await;
        session.run("put w/a 4").await;
        session.run("put other 5").await;
        for (words, lines) in [
            (&["watch", "w/a", "--rev=1"][..], 12),
            (&["watch", "w/a", "--rev=4"], 9),
            (&["watch", "w/", "--prefix", "--rev=2"], 15),
            (&["watch", "w/", "--prefix", "--rev=2", "--prev-kv"], 19),
            (&["watch", "w/a", "w/b", "--rev=2"], 12),
            (&["watch", "", "--prefix", "--rev=1"], 18),
            (&["watch", "w/b", "--rev=2", "--hex"], 3),
            (&["watch", "w/", "--prefix", "--rev=2", "-w", "json"], 1),
            (&["watch", "w/a", "--rev=3", "--prev-kv", "-w", "json"], 1),
            (&["watch", "w/a", "--rev=2", "-w", "fields"], 12),
        ] {
            let mut following = session.follow(words);
            following.lines(lines).await;
            session.stop(following).await;
        }
    })
    .await;
}

#[tokio::test]
async fn watch_what_happens_now() {
    compare(1, async |session| {
        let mut following = session.follow(&["watch", "w/", "--prefix", "--prev-kv"]);
        started(session, &mut following, "w/marker").await;
        session.run("put w/a 1").await;
        session.run("put w/a 2").await;
        session
            .run_input("txn", "\nput w/b 1\nput w/c 2\ndel w/a\n\n\n")
            .await;
        session.run("del w/ --prefix").await;
        following.lines(3 + 5 + 9 + 13).await;
        session.stop(following).await;
        let mut following = session.follow(&["watch", "single"]);
        started(session, &mut following, "single").await;
        let lease = session.grant(300).await;
        session.run(&format!("put single x --lease={lease}")).await;
        session.run(&format!("lease revoke {lease}")).await;
        following.lines(6).await;
        session.stop(following).await;
    })
    .await;
}

#[tokio::test]
async fn watch_runs_commands() {
    compare(1, async |session| {
        session.run("put w/a 1").await;
        session.run("put w/a 2").await;
        session.run("del w/a").await;
        let script = "env | grep ^ETCD_WATCH_ | sort";
        let words = ["watch", "w/a", "--rev=2", "--", "sh", "-c", script];
        let mut following = session.follow(&words);
        following.lines(3 * 3 + 3 * 4).await;
        session.stop(following).await;
        let words = ["watch", "w/a", "--rev=2", "--prev-kv", "--", "echo", "seen"];
        let mut following = session.follow(&words);
        following.lines(3 + 5 + 5 + 3).await;
        session.stop(following).await;
    })
    .await;
}

#[tokio::test]
async fn watch_interactively() {
    compare(1, async |session| {
        session.run("put w/a 1").await;
        session.run("put w/b 2").await;
        let mut following = session.follow(&["watch", "-i"]);
        following.type_line("watch --rev=2 w/a").await;
        following.lines(3).await;
        following.type_line("watch --rev=3 --prefix w/b").await;
        following.lines(6).await;
        following.type_line("watch w/b --rev=3 -- echo seen").await;
        following.lines(10).await;
        session.stop(following).await;
        let mut following = session.follow(&["watch", "-i"]);
        following.type_line("nonsense").await;
        session.ended(following).await;
    })
    .await;
}

#[tokio::test]
async fn watch_that_cannot_be_served() {
    compare(1, async |session| {
        for value in 1..6 {
            session.run(&format!("put w/a {value}")).await;
        }
        session.run("compaction 4").await;
        let following = session.follow(&["watch", "w/a", "--rev=2"]);
        session.ended(following).await;
        let mut following = session.follow(&["watch", "w/a", "--rev=4"]);
        following.lines(9).await;
        session.stop(following).await;
        let following = session.follow(&["watch", "b", "a", "--rev=4"]);
        session.ended(following).await;
        session.run("watch").await;
        session.run("watch a --prefix b").await;
        session.run("watch a --rev=x").await;
    })
    .await;
}
