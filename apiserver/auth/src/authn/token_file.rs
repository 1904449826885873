//! The static token file: lines of `token,user,uid,"group1,group2"`.

use std::collections::HashMap;

use crate::limits::TOKEN_FILE_BYTES_MAX;
use crate::user::UserInfo;

/// Why a token file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFileError {
    /// It is longer than [`TOKEN_FILE_BYTES_MAX`].
    #[error("a token file may have at most {TOKEN_FILE_BYTES_MAX} bytes")]
    TooLong,
    /// A line has too few columns.
    #[error("token file must have at least 3 columns (token, user name, user uid), found {0}")]
    Columns(usize),
    /// Quotes are not where CSV has them.
    #[error("record on line {0}: a quote is not closed or not at the ends of a field")]
    Quotes(usize),
    /// It is not UTF-8.
    #[error("the token file is not UTF-8")]
    Encoding,
}

/// Users by the hash of their token, so that looking up tells nothing about near misses.
#[derive(Default)]
pub struct TokenFile(HashMap<[u8; 32], UserInfo>);

impl std::fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenFile of {} tokens", self.0.len())
    }
}

impl TokenFile {
    /// Reads the file. Records without a token are left out; of two with the same token the later counts.
    ///
    /// # Errors
    /// If it is not such a file.
    pub fn parse(bytes: &[u8]) -> Result<TokenFile, TokenFileError> {
        if bytes.len() > TOKEN_FILE_BYTES_MAX {
            return Err(TokenFileError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TokenFileError::Encoding)?;
        let mut tokens = HashMap::new();
        for record in records(text)? {
            let [token, user, uid, rest @ ..] = record.as_slice() else {
                return Err(TokenFileError::Columns(record.len()));
            };
            if token.is_empty() {
                continue;
            }
            let groups = rest
                .first()
                .map(|groups| groups.split(',').map(str::to_owned).collect());
            let user = UserInfo {
                username: user.clone(),
                uid: uid.clone(),
                groups: groups.unwrap_or_default(),
                ..UserInfo::default()
            };
            tokens.insert(hash(token), user);
        }
        Ok(TokenFile(tokens))
    }

    /// The user of a token.
    pub fn authenticate(&self, token: &str) -> Option<&UserInfo> {
        self.0.get(&hash(token))
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
    out
}

/// The records of CSV text; empty lines are none. A quoted field may hold commas, line ends and doubled quotes.
fn records(text: &str) -> Result<Vec<Vec<String>>, TokenFileError> {
    let text = text.replace("\r\n", "\n");
    let mut out: Vec<Vec<String>> = Vec::new();
    let (mut record, mut line) = (Vec::new(), 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        if record.is_empty() && rest.starts_with('\n') {
            rest = &rest[1..];
            line += 1;
            continue;
        }
        let (field, after) = field(rest).ok_or(TokenFileError::Quotes(line))?;
        line += field.matches('\n').count();
        record.push(field);
        rest = after.strip_prefix(',').unwrap_or(after);
        let last = after.is_empty() || after.starts_with('\n');
        if last {
            out.push(std::mem::take(&mut record));
            rest = after.strip_prefix('\n').unwrap_or(after);
            line += 1;
        } else if rest.is_empty() {
            record.push(String::new());
        }
    }
    if !record.is_empty() {
        out.push(record);
    }
    Ok(out)
}

/// One field and what follows it (a comma, a line end or nothing).
fn field(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '\n']).unwrap_or(text.len());
        let (field, after) = text.split_at(end);
        return (!field.contains('"')).then(|| (field.to_owned(), after));
    };
    let mut field = String::new();
    loop {
        let quote = rest.find('"')?;
        field.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => break,
        }
    }
    (rest.is_empty() || rest.starts_with([',', '\n'])).then_some((field, rest))
}
