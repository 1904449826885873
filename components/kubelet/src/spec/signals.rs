//! Stop signals.

/// Names in the order of the runtime's numbers, which begin at 1.
const NAMES: [&str; 34] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];
/// The runtime's numbers of the real-time signals' ends.
const RTMIN: i32 = 35;
const RTMAX: i32 = 65;

/// The runtime's number of a signal, as in `lifecycle.stopSignal`; 0 (what the image says) for what is none.
#[must_use]
pub fn signal(name: &str) -> i32 {
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return i32::try_from(at).unwrap_or(0) + 1;
    }
    if name == "SIGRTMIN" {
        return RTMIN;
    }
    if name == "SIGRTMAX" {
        return RTMAX;
    }
    let distance = |text: &str, most: i32| text.parse().ok().filter(|n| (1..=most).contains(n));
    if let Some(n) = name.strip_prefix("SIGRTMIN+") {
        return distance(n, 15).map_or(0, |n| RTMIN + n);
    }
    let n = name.strip_prefix("SIGRTMAX-");
    n.and_then(|n| distance(n, 14)).map_or(0, |n| RTMAX - n)
}

/// The name of the runtime's number.
#[must_use]
pub fn signal_name(number: i32) -> Option<String> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    if let Some(name) = NAMES.get(at) {
        return Some((*name).to_owned());
    }
    match number {
        RTMIN => Some("SIGRTMIN".to_owned()),
        RTMAX => Some("SIGRTMAX".to_owned()),
        n if n <= RTMIN + 15 => Some(format!("SIGRTMIN+{}", n - RTMIN)),
        n if n < RTMAX => Some(format!("SIGRTMAX-{}", RTMAX - n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_cri::Signal;

    #[test]
    fn names_and_numbers_belong_together() {
        for (name, expected) in [
            ("SIGABRT", Signal::Sigabrt as i32),
            ("SIGTERM", Signal::Sigterm as i32),
            ("SIGXFSZ", Signal::Sigxfsz as i32),
            ("SIGRTMIN", Signal::Sigrtmin as i32),
            ("SIGRTMIN+15", Signal::Sigrtminplus15 as i32),
            ("SIGRTMAX-14", Signal::Sigrtmaxminus14 as i32),
            ("SIGRTMAX", Signal::Sigrtmax as i32),
            ("SIGRTMIN+16", 0),
            ("TERM", 0),
            ("", 0),
        ] {
            assert_eq!(signal(name), expected, "{name}");
        }
        for number in 1..=65 {
            let name = signal_name(number).expect("it has one");
            assert_eq!(signal(&name), number, "{name}");
        }
        assert_eq!(signal_name(0), None);
        assert_eq!(signal_name(66), None);
    }
}
