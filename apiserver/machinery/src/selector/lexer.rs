//! Words and signs of a label selector.

/// What a piece of a selector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Signs that mean nothing, such as `!!`.
    Error,
    End,
    ClosedPar,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    NotEquals,
    NotIn,
    OpenPar,
}

/// A piece of a selector with its text.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
}

fn is_sign(b: u8) -> bool {
    matches!(b, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

fn sign_kind(text: &str) -> Option<Kind> {
    Some(match text {
        ")" => Kind::ClosedPar,
        "," => Kind::Comma,
        "!" => Kind::Not,
        "==" => Kind::DoubleEquals,
        "=" => Kind::Equals,
        ">" => Kind::GreaterThan,
        "<" => Kind::LessThan,
        "!=" => Kind::NotEquals,
        "(" => Kind::OpenPar,
        _ => return None,
    })
}

/// Cuts a selector into tokens, the last being [`Kind::End`]. A NUL byte ends the text, as upstream's reader has it.
pub(super) fn tokens(selector: &str) -> Vec<Token> {
    let text = selector.split('\0').next().unwrap_or_default();
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if is_space(bytes[at]) {
            at += 1;
            continue;
        }
        let (token, end) = if is_sign(bytes[at]) {
            sign(text, at)
        } else {
            word(text, at)
        };
        tokens.push(token);
        at = end;
    }
    tokens.push(Token {
        kind: Kind::End,
        text: String::new(),
    });
    tokens
}

/// The longest run of signs from `at` that has a meaning.
fn sign(text: &str, at: usize) -> (Token, usize) {
    let run = text[at..].bytes().take_while(|b| is_sign(*b)).count();
    let longest = (1..=run)
        .map_while(|n| sign_kind(&text[at..at + n]).map(|kind| (kind, n)))
        .last();
    match longest {
        Some((kind, n)) => {
            let text = text[at..at + n].to_owned();
            (Token { kind, text }, at + n)
        }
        None => {
            let text = format!("error expected: keyword found '{}'", &text[at..at + run]);
            (
                Token {
                    kind: Kind::Error,
                    text,
                },
                at + run,
            )
        }
    }
}

fn word(text: &str, at: usize) -> (Token, usize) {
    let length = text[at..]
        .bytes()
        .take_while(|b| !is_sign(*b) && !is_space(*b))
        .count();
    let word = &text[at..at + length];
    let kind = match word {
        "in" => Kind::In,
        "notin" => Kind::NotIn,
        _ => Kind::Identifier,
    };
    let text = word.to_owned();
    (Token { kind, text }, at + length)
}
