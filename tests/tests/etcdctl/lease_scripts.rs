//! lease grant, revoke, timetolive, list and keep-alive.

use crate::compare;

#[tokio::test]
async fn leases_in_every_format() {
    compare(1, async |session| {
        session.run_formats("lease list").await;
        let lease = session.grant(500).await;
        session
            .run_formats(&format!("lease timetolive {lease}"))
            .await;
        session
            .run_formats(&format!("lease timetolive {lease} --keys"))
            .await;
        session.run_formats("lease list").await;
        session.run(&format!("put l/one 1 --lease={lease}")).await;
        session
            .run(&format!("lease timetolive {lease} --keys -w json"))
            .await;
        session
            .run(&format!("lease timetolive {lease} --keys"))
            .await;
        session.run("get l/one -w fields").await;
        session.run(&format!("put l/two 2 --lease={lease}")).await;
        session
            .run(&format!("lease keep-alive --once {lease}"))
            .await;
        session
            .run_formats(&format!("lease keep-alive --once {lease}"))
            .await;
        session.run(&format!("lease revoke {lease}")).await;
        session.run("get l/ --prefix -w json").await;
        session
            .run_formats(&format!("lease timetolive {lease}"))
            .await;
        session
            .run(&format!("lease keep-alive --once {lease}"))
            .await;
        session.run(&format!("lease revoke {lease}")).await;
        for format in crate::FORMATS {
            session.run(&format!("lease grant 600 -w {format}")).await;
        }
        let lease = session.grant(700).await;
        session.run_formats(&format!("lease revoke {lease}")).await;
    })
    .await;
}

#[tokio::test]
async fn lease_keep_alive_goes_on() {
    compare(1, async |session| {
        let lease = session.grant(3).await;
        let mut following = session.follow(&["lease", "keep-alive", &lease]);
        // The client renews after a third of the TTL.
        following.lines(3).await;
        session.run(&format!("lease timetolive {lease}")).await;
        session.run(&format!("lease revoke {lease}")).await;
        session.ended(following).await;
    })
    .await;
}

#[tokio::test]
async fn wrong_lease_input() {
    compare(1, async |session| {
        session.run("lease revoke 123").await;
        session.run("lease revoke nothex").await;
        session.run("lease revoke").await;
        session.run("lease timetolive 123").await;
        session.run("lease timetolive nothex").await;
        session.run("lease timetolive").await;
        session.run("lease keep-alive --once 123").await;
        session.run("lease keep-alive nothex").await;
        session.run("lease grant").await;
        session.run("lease grant x").await;
        session.run("lease grant 9000000001").await;
        session.run("lease grant 0").await;
        session.run("lease grant 1").await;
        session.run_words(&["lease", "grant", "--", "-5"], "").await;
        session.run("lease grant 5 6").await;
        session.run("lease").await;
    })
    .await;
}
