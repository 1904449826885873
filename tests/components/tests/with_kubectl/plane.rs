//! All of a control plane, and sessions with it.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::PostParams;
use mainstay_component_tests::{Program, World};
use mainstay_tests::apiserver::{Said, has_kubectl};
use mainstay_tests::wait_until;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::DONE;

/// What each of a plane's nodes is called, before its number.
pub(crate) const NODES: usize = 3;

pub(crate) struct Plane {
    pub(crate) world: World,
    programs: Vec<Program>,
}

impl Plane {
    /// `None`, said aloud, where there is no kubectl.
    #[expect(clippy::print_stderr, reason = "says loudly what was not tested")]
    pub(crate) async fn start() -> Option<Self> {
        if !has_kubectl() {
            eprintln!("SKIPPED: there is no kubectl");
            return None;
        }
        let world = World::start().await;
        let nodes_role = json!({
            "metadata": {"name": "mainstay:fake-nodes"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mainstay:fake-nodes"}],
        });
        let bindings: Api<ClusterRoleBinding> = Api::all(world.client.clone());
        let binding = serde_json::from_value(nodes_role).unwrap();
        bindings
            .create(&PostParams::default(), &binding)
            .await
            .unwrap();
        let program = |name: &str, identity: &str, more: &[String]| {
            let path = world.server.pki().join(format!("{identity}.kubeconfig"));
            let mut flags = vec![
                format!("--kubeconfig={}", path.display()),
                "--secure-port=0".to_owned(),
            ];
            flags.extend_from_slice(more);
            Program::start(name, &flags)
        };
        let nodes = [format!("--nodes={NODES}"), "--zones=3".to_owned()];
        let programs = vec![
            program("controllers", "controller-manager", &[]),
            program("scheduler", "scheduler", &[]),
            program("fake-nodes", "fake-nodes", &nodes),
        ];
        let plane = Self { world, programs };
        plane.settles().await;
        Some(plane)
    }

    async fn settles(&self) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.world.client.clone(), "default");
        for number in 0..NODES {
            let name = format!("fake-{number}");
            wait_until(&format!("{name} is there"), DONE, async || {
                self.world
                    .nodes()
                    .get_opt(&name)
                    .await
                    .unwrap()?
                    .status?
                    .allocatable
            })
            .await;
            // Whether or not a controller does it too.
            self.world
                .change_node(&name, json!({"spec": {"taints": null}}))
                .await;
        }
        wait_until("namespaces have accounts", DONE, async || {
            accounts.get_opt("default").await.unwrap()
        })
        .await;
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Said {
        self.world.server.kubectl(arguments).await
    }

    /// Commands with a part of what each must print; those that begin with `!` must fail, and those that begin with `?`
    /// are repeated until they print it.
    pub(crate) async fn session(&self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            let (kind, line) = match line.split_at(1) {
                (kind @ ("!" | "?"), line) => (kind, line),
                _ => ("", *line),
            };
            let arguments: Vec<&str> = line.split(' ').collect();
            if kind == "?" {
                wait_until(
                    &format!("{expected:?} from kubectl {line}"),
                    DONE,
                    async || {
                        let said = self.kubectl(&arguments).await;
                        (said.ok && said.text.contains(expected)).then_some(())
                    },
                )
                .await;
                continue;
            }
            let said = self.kubectl(&arguments).await;
            let ok = kind.is_empty();
            assert_eq!(said.ok, ok, "kubectl {line}\n{}{}", said.text, self.logs());
            assert!(
                said.text.contains(expected),
                "kubectl {line}\n{}",
                said.text
            );
        }
    }

    /// Applies a manifest from a file.
    pub(crate) async fn apply(&self, manifest: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.yaml");
        std::fs::write(&path, manifest).unwrap();
        let said = self.kubectl(&["apply", "-f", path.to_str().unwrap()]).await;
        assert!(said.ok, "{}", said.text);
    }

    /// Ends all programs in order; each must end well.
    pub(crate) async fn end(mut self) {
        for program in &mut self.programs {
            assert_eq!(program.terminate().await, Some(0), "{}", program.log());
        }
    }

    fn logs(&self) -> String {
        let logs = self.programs.iter().map(|program| {
            let log = program.log();
            let lines: Vec<&str> = log.lines().rev().take(5).collect();
            format!("\n--\n{}", lines.join("\n"))
        });
        logs.collect()
    }
}

/// Appends what `out` says to `text` until that holds `sign`.
pub(crate) async fn read_until(out: &mut (impl AsyncRead + Unpin), text: &mut String, sign: &str) {
    let reading = async {
        let mut bytes = [0; 4096];
        while !text.contains(sign) {
            let read = out.read(&mut bytes).await.unwrap();
            assert!(read > 0, "it has ended: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    };
    if tokio::time::timeout(DONE, reading).await.is_err() {
        panic!("no {sign} in what is said: {text}");
    }
}
