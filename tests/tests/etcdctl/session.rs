//! Runs etcdctl against one cluster and writes down what it printed.

use crate::FORMATS;
use crate::normalise::Names;
use mainstay_tests::Cluster;
use mainstay_tests::limits::MESSAGE_DEADLINE;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The client, from Debian's package.
pub(crate) const ETCDCTL: &str = "/usr/bin/etcdctl";
/// One command of etcdctl, its own time-outs of at most 7 s included.
const COMMAND_DEADLINE: Duration = Duration::from_secs(20);

/// One command and everything it printed, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) output: String,
}

/// A cluster and the transcript of what was done to it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) cluster: Cluster,
    names: Names,
    steps: Vec<Step>,
}

impl Session {
    pub(crate) fn new(cluster: Cluster) -> Self {
        // In larger clusters roles and the order of ids, and so of their first appearance, are random.
        let several = cluster.len() > 1;
        let addresses = (0..cluster.len()).flat_map(|index| {
            let peer = cluster
                .peer_url(index)
                .trim_start_matches("http://")
                .to_owned();
            let client = format!("127.0.0.1:{}", cluster.client_port(index));
            let number = if several {
                String::new()
            } else {
                format!(" {index}")
            };
            [
                (peer, format!("<peer{number}>")),
                (client, format!("<client{number}>")),
            ]
        });
        let names = Names::new(addresses.collect(), several);
        Self {
            cluster,
            names,
            steps: Vec::new(),
        }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Runs a command line without quoting rules; returns standard output as it was.
    pub(crate) async fn run(&mut self, line: &str) -> String {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>(), "")
            .await
    }

    /// Runs a command line in every output format.
    pub(crate) async fn run_formats(&mut self, line: &str) {
        for format in FORMATS {
            self.run(&format!("{line} -w {format}")).await;
        }
    }

    /// Runs a command line with standard input.
    pub(crate) async fn run_input(&mut self, line: &str, input: &str) -> String {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>(), input)
            .await
    }

    /// Runs a command given word by word.
    pub(crate) async fn run_words(&mut self, words: &[&str], input: &str) -> String {
        let endpoint = self.cluster.endpoint(0);
        self.run_on(&endpoint, words, input).await
    }

    /// Runs a command against chosen endpoints.
    pub(crate) async fn run_on(&mut self, endpoints: &str, words: &[&str], input: &str) -> String {
        let mut child = self.command(endpoints, words).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = timeout(COMMAND_DEADLINE, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("etcdctl {words:?} does not end"))
            .unwrap();
        let command = self.mask_command(words);
        let stdout = self.names.normalise(&command, &output.stdout);
        let stderr = self.names.normalise("", &output.stderr);
        let code = output.status.code();
        let output_text = format!("{stdout}\n--- stderr ---\n{stderr}\n--- exit {code:?}\n");
        self.steps.push(Step {
            command,
            output: output_text,
        });
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Like [`Self::run_on`] with the lines of the output sorted: members are listed in the order of random ids.
    pub(crate) async fn run_sorted(&mut self, endpoints: &str, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = self.run_on(endpoints, &words, "").await;
        let step = self.steps.last_mut().unwrap();
        let mut lines: Vec<&str> = step.output.lines().collect();
        lines.sort_unstable();
        step.output = lines.join("\n");
        output
    }

    /// Grants a lease and returns its id as etcdctl writes it.
    pub(crate) async fn grant(&mut self, ttl: u32) -> String {
        let output = self.run(&format!("lease grant {ttl}")).await;
        output
            .split_whitespace()
            .nth(1)
            .expect("lease ID granted with TTL")
            .to_owned()
    }

    /// Starts a command that goes on until it is stopped.
    pub(crate) fn follow(&mut self, words: &[&str]) -> Following {
        let endpoint = self.cluster.endpoint(0);
        let mut child = self.command(&endpoint, words).spawn().unwrap();
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let command = self.mask_command(words);
        Following {
            command,
            child,
            stdin,
            lines,
            seen: Vec::new(),
        }
    }

    /// Stops a running command and writes down what it printed; lines of `drop` markers excluded.
    pub(crate) async fn stop(&mut self, mut following: Following) {
        following.child.start_kill().unwrap();
        let mut stderr = Vec::new();
        let mut pipe = following.child.stderr.take().unwrap();
        timeout(MESSAGE_DEADLINE, pipe.read_to_end(&mut stderr))
            .await
            .unwrap()
            .unwrap();
        following.child.wait().await.unwrap();
        self.write_down(following, &stderr, "stopped");
    }

    /// Waits for a running command to end by itself and writes down what it printed.
    pub(crate) async fn ended(&mut self, mut following: Following) {
        following.stdin = None;
        while let Some(line) = timeout(MESSAGE_DEADLINE, following.lines.next_line())
            .await
            .unwrap()
            .unwrap()
        {
            following.seen.push(line);
        }
        let mut stderr = Vec::new();
        let mut pipe = following.child.stderr.take().unwrap();
        timeout(MESSAGE_DEADLINE, pipe.read_to_end(&mut stderr))
            .await
            .unwrap()
            .unwrap();
        let status = following.child.wait().await.unwrap();
        self.write_down(following, &stderr, &format!("exit {:?}", status.code()));
    }

    fn write_down(&mut self, following: Following, stderr: &[u8], end: &str) {
        let stdout = following.seen.join("\n");
        let stdout = self.names.normalise(&following.command, stdout.as_bytes());
        let stderr = self.names.normalise("", stderr);
        let output = format!("{stdout}\n--- stderr ---\n{stderr}\n--- {end}\n");
        self.steps.push(Step {
            command: following.command,
            output,
        });
    }

    fn mask_command(&mut self, words: &[&str]) -> String {
        let command = words.join(" ");
        self.names.normalise("", command.as_bytes())
    }

    fn command(&self, endpoints: &str, words: &[&str]) -> Command {
        let mut command = Command::new(ETCDCTL);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCDCTL") {
                command.env_remove(name);
            }
        }
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={endpoints}"))
            .args(words);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

/// A command that is still running.
#[derive(Debug)]
pub(crate) struct Following {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Following {
    /// Types a line.
    pub(crate) async fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the command still reads");
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }

    /// Reads until so many lines have been printed.
    pub(crate) async fn lines(&mut self, count: usize) {
        while self.seen.len() < count {
            let line = timeout(MESSAGE_DEADLINE, self.lines.next_line())
                .await
                .unwrap_or_else(|_| panic!("{}: only {:#?}", self.command, self.seen));
            self.seen.push(line.unwrap().expect("the command goes on"));
        }
    }

    /// Reads and forgets lines until `marker` appears, or gives up after a moment: then the caller makes it appear.
    pub(crate) async fn skip_to(&mut self, marker: &str, moment: Duration) -> bool {
        loop {
            let Ok(line) = timeout(moment, self.lines.next_line()).await else {
                return false;
            };
            if line.unwrap().expect("the command goes on").contains(marker) {
                return true;
            }
        }
    }
}
