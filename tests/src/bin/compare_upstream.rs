//! `make compare-upstream`: the same questions to upstream's kube-apiserver and to ours, and what is answered
//! differently.

#![expect(clippy::print_stdout, reason = "a command that reports")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use mainstay_tests::upstream::{
    Accepted, Contender, KINDS, Kubectl, Pki, ask, compare, files, folder, golden, prepare,
    write_sections,
};

/// Asks upstream's kube-apiserver and ours the same questions, and shows what is answered differently.
///
/// Exit codes: 0 all alike but for what may differ, or upstream is not built here; 1 something differs.
#[derive(Debug, Parser)]
#[command(name = "compare_upstream", version, max_term_width = 110)]
struct Options {
    /// Writes upstream's answers as the recorded ones; those to sessions only for a kubectl that is named.
    #[arg(long, conflicts_with = "golden")]
    record: bool,
    /// Compares with the recorded answers instead of a running kube-apiserver.
    #[arg(long)]
    golden: bool,
    /// The kubectl that asks [default: the one that scripts/upstream has built].
    #[arg(long, value_name = "PATH")]
    kubectl: Option<PathBuf>,
    /// Only questions whose path has this part, such as `sessions` or `get`.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Writes all answers below this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Options {
    /// Where answers are recorded: what a kubectl says differs between its versions.
    fn golden_name(&self, kind: &str, stem: &str, kubectl: &Path) -> String {
        match Kubectl::at(kubectl) {
            Some(kubectl) if kind == "sessions" => kubectl.golden_name(stem),
            _ => format!("{kind}/{stem}"),
        }
    }
}

/// Where `scripts/upstream` puts what it builds.
fn binaries() -> PathBuf {
    std::env::var_os("MAINSTAY_UPSTREAM").map_or_else(
        || {
            let home = std::env::var_os("HOME").unwrap_or_default();
            Path::new(&home).join(".cache/mainstay/upstream/bin")
        },
        PathBuf::from,
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let bin = binaries();
    let options = Options::parse();
    let needed = ["etcd", "kube-apiserver", "kubectl"];
    let missing = needed.iter().find(|name| !bin.join(name).is_file());
    if let Some(name) = missing.filter(|_| !options.golden) {
        println!(
            "SKIPPED: there is no {name} in {}: run scripts/upstream",
            bin.display()
        );
        return ExitCode::SUCCESS;
    }
    let pki = Pki::default();
    let ours = Contender::mainstay(&pki).await;
    prepare(&ours).await;
    let mut theirs = None;
    if !options.golden {
        let contender = Contender::upstream(&pki, &bin).await;
        prepare(&contender).await;
        theirs = Some(contender);
    }
    let totals = run(&options, &ours, theirs.as_ref()).await;
    println!(
        "{} questions: {} answered alike, {} differ for a reason, {} differ",
        totals.asked,
        totals.asked - totals.accepted - totals.differ,
        totals.accepted,
        totals.differ
    );
    match totals.differ {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

#[derive(Default)]
struct Totals {
    asked: usize,
    accepted: usize,
    differ: usize,
}

async fn run(options: &Options, ours: &Contender, theirs: Option<&Contender>) -> Totals {
    let accepted = Accepted::read();
    let kubectl = options.kubectl.clone();
    let kubectl = kubectl.unwrap_or_else(|| binaries().join("kubectl"));
    let mut totals = Totals::default();
    for (kind, end) in KINDS {
        for file in files(kind, end) {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("{kind}/{stem}");
            if options
                .only
                .as_ref()
                .is_some_and(|part| !name.contains(part))
            {
                continue;
            }
            let answers = async {
                match theirs {
                    Some(theirs) => ask(theirs, &file, &kubectl).await,
                    None => golden(&options.golden_name(kind, &stem, &kubectl)),
                }
            };
            let (upstream, mainstay) = tokio::join!(answers, ask(ours, &file, &kubectl));
            if options.record && (kind != "sessions" || options.kubectl.is_some()) {
                let name = options.golden_name(kind, &stem, &kubectl);
                save(&folder().join("golden"), &name, &write_sections(&upstream));
            }
            if let Some(out) = &options.out {
                save(&out.join("upstream"), &name, &write_sections(&upstream));
                save(&out.join("mainstay"), &name, &write_sections(&mainstay));
            }
            totals.asked += upstream.len();
            for difference in compare(&name, &upstream, &mainstay, &accepted) {
                if let Some(reason) = &difference.accepted {
                    totals.accepted += 1;
                    println!("{name}: {} differs: {reason}", difference.title);
                    continue;
                }
                totals.differ += 1;
                println!("{name}: {}", difference.title);
                for line in &difference.lines {
                    println!("    {line}");
                }
            }
        }
    }
    totals
}

fn save(folder: &Path, name: &str, text: &str) {
    let path = folder.join(format!("{name}.txt"));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for answers");
    std::fs::write(path, text).expect("a file of answers");
}
