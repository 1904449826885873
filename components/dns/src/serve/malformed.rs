//! Whatever comes, nothing panics, and what is answered is an answer to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::resolver::{Origin, Outcome, Resolver};
use crate::cache::Cache;
use crate::figures::{Figures, ForwardFigures, Transport};
use crate::forward::{Forwarder, Policy};
use crate::wire::{Edns, Message, Name, Query, Type};
use crate::zone::Index;

fn resolver() -> Resolver {
    let index = Index::new("cluster.local", 1, 5).expect("it is a domain");
    index.namespace("default", true);
    index.completed();
    let nobody = Forwarder::new(&[], Policy::default(), ForwardFigures::default());
    let cache = Cache::new(Duration::from_secs(30));
    Resolver::new(Arc::new(index), cache, nobody, Figures::default())
}

fn answer(resolver: &Resolver, bytes: &[u8]) -> Option<Vec<u8>> {
    let origin = Origin {
        transport: Transport::Udp,
        client: SocketAddr::from(([127, 0, 0, 1], 9)),
    };
    match resolver.answer(bytes, origin) {
        Outcome::Answer(answer) => Some(answer),
        Outcome::Silence => None,
        Outcome::Later(_) => panic!("there is nobody to ask"),
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::question(Query {
        name: Name::from_text(name).expect("it is a name"),
        kind: Type::A,
        class: 1,
    });
    message.edns = Some(Edns {
        payload: 1232,
        version: 0,
        dnssec: false,
    });
    message.write()
}

fn check(bytes: &[u8], answer: Option<Vec<u8>>) {
    let Some(answer) = answer else {
        assert!(
            bytes.len() < 12 || bytes[2] & 0x80 != 0,
            "silence for {bytes:?}"
        );
        return;
    };
    assert_eq!(answer[..2], bytes[..2], "another one's answer");
    assert!(answer.len() <= 1232);
    let answer = Message::read(&answer).expect("it can be read");
    assert!(answer.flags.response);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let resolver = resolver();
        check(&bytes, answer(&resolver, &bytes));
    }

    #[test]
    fn questions_with_errors(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let resolver = resolver();
        let mut bytes = question("10-1-2-3.default.pod.cluster.local.");
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check(&bytes, answer(&resolver, &bytes));
    }
}

#[test]
fn a_good_question_is_answered() {
    let resolver = resolver();
    let asked = question("10-1-2-3.Default.pod.cluster.local.");
    let answer = answer(&resolver, &asked).expect("an answer");
    let answer = Message::read(&answer).expect("it can be read");
    assert_eq!(answer.answers[0].to_string(), "10.1.2.3");
    assert_eq!(
        answer.queries[0].name.to_string(),
        "10-1-2-3.Default.pod.cluster.local."
    );
    assert!(answer.flags.authoritative && answer.edns.is_some());
}
