//! Where static pods come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use mainstay_client::process::duration;

use super::file::ConfigFile;
use super::flags::Flags;

/// What flags and file say about static pods.
#[derive(Clone, Debug)]
pub struct ManifestOptions {
    /// A folder,
    pub folder: Option<PathBuf>,
    /// looked at this often.
    pub folder_interval: Duration,
    /// A server,
    pub url: Option<Uri>,
    /// asked with these headers, which may be secret,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// this often.
    pub url_interval: Duration,
}

/// Upstream's, for both.
const INTERVAL: Duration = Duration::from_secs(20);

impl ManifestOptions {
    pub(super) fn of(flags: &Flags, file: &ConfigFile) -> Result<Self, String> {
        let folder = flags.pod_manifest_path.clone();
        let folder = folder.or_else(|| file.static_pod_path.clone());
        let url = flags.manifest_url.clone();
        let url = url.or_else(|| file.static_pod_url.clone());
        let url = url.filter(|url| !url.is_empty());
        let headers = match flags.manifest_url_header.as_slice() {
            [] => of_file(&file.static_pod_url_header)?,
            texts => texts
                .iter()
                .map(|text| of_flag(text))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            folder: folder.filter(|path| path != Path::new("")),
            folder_interval: interval(
                flags.file_check_frequency,
                file.file_check_frequency.as_deref(),
            )?,
            url: url.map(|url| address(&url)).transpose()?,
            headers,
            url_interval: interval(
                flags.http_check_frequency,
                file.http_check_frequency.as_deref(),
            )?,
        })
    }
}

fn interval(flag: Option<Duration>, file: Option<&str>) -> Result<Duration, String> {
    let file = file.map(duration).transpose()?;
    // The file's zero is its default.
    let file = file.filter(|duration| !duration.is_zero());
    match flag.or(file) {
        Some(Duration::ZERO) => Err("how often static pods are looked at cannot be 0".to_owned()),
        given => Ok(given.unwrap_or(INTERVAL)),
    }
}

fn address(url: &str) -> Result<Uri, String> {
    let wrong = || format!("{url:?} is not the URL of a server");
    let parsed: Uri = url.parse().map_err(|_| wrong())?;
    let known = matches!(parsed.scheme_str(), Some("http" | "https"));
    match known && parsed.host().is_some() {
        true => Ok(parsed),
        false => Err(wrong()),
    }
}

fn of_flag(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("a header of --manifest-url-header has no colon")?;
    header(name, value)
}

fn of_file(
    given: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let all = given
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    all.map(|(name, value)| header(name, value)).collect()
}

/// Errors do not have the value, which may be a password.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("{name:?} cannot be a header with the value that is given");
    let made = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((made, value))
}
