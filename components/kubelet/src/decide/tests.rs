//! What happens next, as tables: a pod, what is seen of it, what is done.

use k8s_openapi::api::core::v1::Pod;

use super::{Backoff, Plan, plan};
use crate::labels;
use crate::observed::{Observed, SeenContainer, SeenSandbox, State};
use crate::probes::{Purpose, Verdict, Verdicts};
use std::collections::BTreeMap;
use std::time::Duration;

/// A pod with the init containers `i`, `s` (a sidecar) and `j` if `init`, and the containers `a` and `b`.
fn pod(policy: &str, init: bool) -> Pod {
    let init = match init {
        true => "initContainers: [{name: i}, {name: s, restartPolicy: Always}, {name: j}], ",
        false => "",
    };
    let text = format!(
        "{{metadata: {{name: p, uid: u}}, spec: {{restartPolicy: {policy}, {init}containers: [{{name: a}}, {{name: b}}]}}}}"
    );
    serde_yaml_ng::from_str(&text).expect("a pod")
}

/// `name+` runs, `name-0` and `name-1` ended so, `name.` was made, `name?` is unknown; `!` at the end: with another
/// spec. `^` is the sandbox, `v` one that is down.
fn seen(pod: &Pod, text: &str) -> Observed {
    let mut seen = Observed::default();
    for (at, word) in text.split_whitespace().enumerate() {
        if word == "^" || word == "v" {
            seen.sandboxes.push(SeenSandbox {
                id: word.to_owned(),
                ready: word == "^",
                ips: vec!["10.0.0.1".to_owned()],
                ..SeenSandbox::default()
            });
            continue;
        }
        let (name, how) = word.split_at(1);
        let spec = pod.spec.as_ref().expect("has one");
        let mut all = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        let container = all
            .find(|container| container.name == name)
            .expect("is one");
        let hash = match how.ends_with('!') {
            true => "another".to_owned(),
            false => labels::hash(container),
        };
        let (state, exit_code) = match how.trim_end_matches('!') {
            "+" => (State::Running, 0),
            "-0" => (State::Exited, 0),
            "-1" => (State::Exited, 1),
            "." => (State::Created, 0),
            _ => (State::Unknown, 0),
        };
        seen.containers.push(SeenContainer {
            id: format!("id-{name}"),
            name: name.to_owned(),
            state,
            exit_code,
            created_at: i64::try_from(at).expect("few"),
            annotations: BTreeMap::from([(labels::CONTAINER_HASH.to_owned(), hash)]),
            ..SeenContainer::default()
        });
    }
    seen.sort();
    seen
}

/// `K` all ends, `^n` sandbox n, `-x` x is ended, `+x` x is started.
fn words(pod: &Pod, plan: &Plan) -> String {
    let spec = pod.spec.as_ref().expect("has one");
    let mut words = Vec::new();
    if plan.kill_pod {
        words.push("K".to_owned());
    }
    words.extend(plan.create_sandbox.map(|attempt| format!("^{attempt}")));
    words.extend(plan.kill.iter().map(|kill| format!("-{}", kill.name)));
    let init = spec.init_containers.as_deref().unwrap_or_default();
    words.extend(
        plan.start_init
            .iter()
            .map(|at| format!("+{}", init[*at].name)),
    );
    words.extend(
        plan.start
            .iter()
            .map(|at| format!("+{}", spec.containers[*at].name)),
    );
    words.join(" ")
}

#[test]
fn containers_are_started_and_ended() {
    let cases = [
        // Policy, what is seen, what is done.
        ("Always", "", "K ^0 +a +b"),
        ("Always", "^", "+a +b"),
        ("Always", "^ a+", "+b"),
        ("Always", "^ a+ b+", ""),
        ("Always", "^ a+ b-0", "+b"),
        ("OnFailure", "^ a+ b-0", ""),
        ("OnFailure", "^ a+ b-1", "+b"),
        ("Never", "^ a+ b-1", ""),
        ("Never", "^ a-0 b-1", "K"),
        ("OnFailure", "^ a-0 b-0", "K"),
        ("Always", "^ a+ b.", "+b"),
        ("Always", "^ a+ b?", "-b +b"),
        ("Always", "^ a+! b+", "-a +a"),
        // With another sandbox, or a second one.
        ("Always", "v a-0 b-0", "K ^1 +a +b"),
        ("OnFailure", "v a-0 b-1", "K ^1 +b"),
        ("OnFailure", "v a-0 b-0", "K"),
        ("Never", "v a-0 b-1", "K"),
        ("Never", "v", "K ^1 +a +b"),
        ("Always", "^ ^ a+ b+", "K ^1 +a +b"),
    ];
    for (policy, there, expected) in cases {
        let pod = pod(policy, false);
        let plan = plan(&pod, &seen(&pod, there), &Verdicts::default());
        // A second sandbox has number 0 as well here.
        assert_eq!(words(&pod, &plan), expected, "{policy}: {there}");
    }
}

#[test]
fn init_containers_come_in_order_and_sidecars_stay() {
    let cases = [
        ("Always", "", "K ^0 +i"),
        ("Always", "^", "+i"),
        ("Always", "^ i+", ""),
        ("Always", "^ i-1", "+i"),
        ("Never", "^ i-1", "K"),
        ("OnFailure", "^ i-1", "+i"),
        ("Always", "^ i.", "+i"),
        ("Always", "^ i-0", "+s"),
        ("Always", "^ i-0 s+", "+j"),
        ("Always", "^ i-0 s-1", "+s"),
        ("Always", "^ i-0 s-1 j+", "+s"),
        ("Always", "^ i-0 s+ j+", ""),
        ("Always", "^ i-0 s+ j-0", "+a +b"),
        // Once the others run, only sidecars matter, and traces may be gone.
        ("Always", "^ s+ a+ b+", ""),
        ("Always", "^ a+ b+", "+s"),
        ("Always", "^ i-1 s-0 j-1 a+ b+", "+s"),
        // A sidecar does not keep a pod that is done.
        ("Never", "^ i-0 s+ j-0 a-0 b-0", "K"),
    ];
    for (policy, there, expected) in cases {
        let pod = pod(policy, true);
        let plan = plan(&pod, &seen(&pod, there), &Verdicts::default());
        assert_eq!(words(&pod, &plan), expected, "{policy}: {there}");
    }
}

#[test]
fn a_condemned_container_is_ended_and_started_again() {
    for (policy, purpose, expected) in [
        ("Always", Purpose::Liveness, "-a +a"),
        ("Never", Purpose::Liveness, "-a"),
        ("OnFailure", Purpose::Startup, "-a +a"),
        ("Always", Purpose::Readiness, ""),
    ] {
        let pod = pod(policy, false);
        let mut verdicts = Verdicts::default();
        verdicts.set("id-a", purpose, Verdict::Failure);
        let plan = plan(&pod, &seen(&pod, "^ a+ b+"), &verdicts);
        assert_eq!(words(&pod, &plan), expected, "{policy} {purpose:?}");
        if let Some(kill) = plan.kill.first() {
            let again = kill.message.ends_with(", will be restarted");
            assert_eq!(again, policy != "Never", "{}", kill.message);
        }
    }
}

/// The pause before it is started again had made a success of it.
#[test]
fn a_condemned_container_that_ends_well_is_started_again() {
    for (policy, expected) in [("Always", "+a"), ("OnFailure", "+a"), ("Never", "")] {
        let pod = pod(policy, false);
        let mut seen = seen(&pod, "^ a-0 b+");
        for container in &mut seen.containers {
            container.condemned = container.name == "a";
        }
        let plan = plan(&pod, &seen, &Verdicts::default());
        assert_eq!(words(&pod, &plan), expected, "{policy}");
    }
}

#[test]
fn pauses_double_up_to_five_minutes_and_begin_anew() {
    let seconds = Duration::from_secs;
    let mut backoff = Backoff::new(seconds(10), seconds(300));
    let mut now = seconds(1000);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let failed = now;
        if let Some((left, whole)) = backoff.remaining(&"a", failed, now) {
            assert_eq!(left, whole);
            pauses.push(whole.as_secs());
            now += left;
        }
        assert_eq!(backoff.remaining(&"a", failed, now), None);
        backoff.next("a", failed, now);
        now += seconds(1);
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
    // It ran for more than ten minutes.
    let failed = now + seconds(601);
    assert_eq!(backoff.remaining(&"a", failed, failed), None);
    backoff.next("a", failed, failed);
    let whole = backoff
        .remaining(&"a", failed, failed)
        .map(|(_, whole)| whole);
    assert_eq!(whole, Some(seconds(10)));
}
