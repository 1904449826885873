use super::decode::integer;
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

#[test]
fn c1_integers() {
    assert_eq!(integer(&mut &[0b1110_1010u8][..], 5), Ok(10));
    assert_eq!(integer(&mut &[0x1f, 0x9a, 0x0a][..], 5), Ok(1337));
    assert_eq!(integer(&mut &[42u8][..], 8), Ok(42));
    assert_eq!(
        integer(&mut &[0x1f, 0x9a][..], 5),
        Err(HpackError::Truncated)
    );
    assert_eq!(
        integer(&mut &[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff][..], 5),
        Err(HpackError::Integer)
    );
}

#[test]
fn c2_literals() {
    let mut d = Decoder::new();
    d.decode(&hex(
        "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
    ))
    .unwrap();
    assert_eq!(d.entries(), pairs(&[("custom-key", "custom-header")]));
    assert_eq!(d.size(), 55);
    let mut d = Decoder::new();
    d.decode(&hex("040c 2f73 616d 706c 652f 7061 7468"))
        .unwrap();
    d.decode(&hex("1008 7061 7373 776f 7264 0673 6563 7265 74"))
        .unwrap();
    d.decode(&hex("82")).unwrap();
    assert_eq!(d.entries(), pairs(&[]));
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":authority", "www.example.com")],
    &[
        ("cache-control", "no-cache"),
        (":authority", "www.example.com"),
    ],
    &[
        ("custom-key", "custom-value"),
        ("cache-control", "no-cache"),
        (":authority", "www.example.com"),
    ],
];

#[test]
fn c3_requests_without_huffman() {
    let mut d = Decoder::new();
    let blocks = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    for (block, table) in blocks.iter().zip(REQUESTS) {
        d.decode(&hex(block)).unwrap();
        assert_eq!(d.entries(), pairs(table));
    }
    assert_eq!(d.size(), 164);
}

#[test]
fn c4_requests_with_huffman() {
    let mut d = Decoder::new();
    let blocks = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for (block, table) in blocks.iter().zip(REQUESTS) {
        d.decode(&hex(block)).unwrap();
        assert_eq!(d.entries(), pairs(table));
    }
    assert_eq!(d.size(), 164);
}

const DATE_1: &str = "Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_2: &str = "Mon, 21 Oct 2013 20:13:22 GMT";
const COOKIE: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

fn check_responses(blocks: [&str; 3]) {
    let mut d = Decoder::new();
    d.limit(256);
    let location = ("location", "https://www.example.com");
    let first = d.decode(&hex(blocks[0])).unwrap();
    assert_eq!(first.http_status, Some(302));
    let private = ("cache-control", "private");
    let table = [location, ("date", DATE_1), private, (":status", "302")];
    assert_eq!((d.entries(), d.size()), (pairs(&table), 222));
    let second = d.decode(&hex(blocks[1])).unwrap();
    assert_eq!(second.http_status, Some(307));
    let table = [(":status", "307"), location, ("date", DATE_1), private];
    assert_eq!((d.entries(), d.size()), (pairs(&table), 222));
    let third = d.decode(&hex(blocks[2])).unwrap();
    assert_eq!(third.http_status, Some(200));
    let table = [
        ("set-cookie", COOKIE),
        ("content-encoding", "gzip"),
        ("date", DATE_2),
    ];
    assert_eq!((d.entries(), d.size()), (pairs(&table), 215));
}

#[test]
fn c5_responses_without_huffman() {
    check_responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
         3d31",
    ]);
}

#[test]
fn c6_responses_with_huffman() {
    check_responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

#[test]
fn grpc_trailers_by_literal_and_by_index() {
    let mut block = vec![0x40, 11];
    block.extend_from_slice(b"grpc-status");
    block.extend_from_slice(&[2, b'1', b'4', 0x40, 12]);
    block.extend_from_slice(b"grpc-message");
    block.extend_from_slice(&[2, b'n', b'o']);
    let mut d = Decoder::new();
    let want = Block {
        http_status: None,
        grpc_status: Some(14),
        grpc_message: Some("no".to_owned()),
    };
    assert_eq!(d.decode(&block).unwrap(), want);
    assert_eq!(d.decode(&[0x80 | 63, 0x80 | 62]).unwrap(), want);
    assert_eq!(d.decode(&[0x80 | 64]), Err(HpackError::Index(64)));
}

#[test]
fn our_requests_shrink_to_indexes() {
    let mut e = Encoder::new("127.0.0.1:2379");
    let mut d = Decoder::new();
    let mut first = Vec::new();
    e.encode("/a/Put", &mut first);
    d.decode(&first).unwrap();
    for path in ["/a/Range", "/a/Put", "/a/Range"] {
        let mut block = Vec::new();
        e.encode(path, &mut block);
        d.decode(&block).unwrap();
    }
    let mut last = Vec::new();
    e.encode("/a/Put", &mut last);
    assert_eq!(
        last,
        [0x83, 0x86, 0x80 | 66, 0x80 | 65, 0x80 | 64, 0x80 | 63]
    );
    assert_eq!(d.entries()[4], (":path".to_owned(), "/a/Put".to_owned()));
    assert_eq!(
        d.entries()[3],
        (":authority".to_owned(), "127.0.0.1:2379".to_owned())
    );
}

#[test]
fn a_server_without_table_gets_literals() {
    let mut e = Encoder::new("h");
    e.set_table_size(0);
    let mut d = Decoder::new();
    for _ in 0..2 {
        let mut block = Vec::new();
        e.encode("/a/Put", &mut block);
        d.decode(&block).unwrap();
        assert!(d.entries().is_empty());
    }
}

proptest::proptest! {
    #[test]
    fn garbage_never_panics(blocks in proptest::collection::vec(proptest::collection::vec(0u8.., 0..64), 0..8)) {
        let mut d = Decoder::new();
        for block in blocks {
            if d.decode(&block).is_err() { break; }
        }
    }
}
