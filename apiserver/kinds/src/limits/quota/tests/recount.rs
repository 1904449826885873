//! What there is, counted.

use super::super::{Recount, tracked_resources};
use super::{NOW, of, pod, quota};
use serde_json::{Value, json};

#[test]
fn a_recount_begins_at_zero_and_keeps_what_it_cannot_see() {
    let mut quota = quota(
        json!({"pods": "5", "requests.cpu": "4", "count/deployments.apps": "1", "unknown.io/x": "1"}),
        json!({"pods": "9", "requests.cpu": "9", "count/deployments.apps": "1", "gone": "3"}),
    );
    let tracked: Vec<_> = tracked_resources(&quota).iter().map(|r| r.plural).collect();
    assert_eq!(tracked, ["pods", "deployments"]);

    let recounted = |quota: &Value| {
        let mut recount = Recount::new(quota, NOW);
        // Deployments could not be listed.
        recount.listed(of("pods"));
        recount.count(of("pods"), &pod(json!({"cpu": "500m"}), json!({})));
        recount.count(of("pods"), &pod(json!({"cpu": "1"}), json!({})));
        recount.count(of("pods"), &json!({"status": {"phase": "Failed"}}));
        recount.finish()
    };
    let counted = recounted(&quota).expect("a change");
    assert_eq!(
        counted["status"],
        json!({"hard": quota["spec"]["hard"],
            "used": {"pods": "2", "requests.cpu": "1500m", "count/deployments.apps": "1"}})
    );
    assert_eq!(recounted(&counted), None, "nothing changed since");

    quota["spec"]["scopes"] = json!(["BestEffort"]);
    let counted = recounted(&quota).expect("a change");
    assert_eq!(
        counted["status"]["used"]["pods"], "0",
        "every pod that goes on asks for something"
    );
}
