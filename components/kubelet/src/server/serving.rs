//! The certificate that this kubelet serves with, where nobody else makes one: from files, or made here.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use tokio::time::sleep;

use crate::certificates::{Pair, Serving};
use crate::limits::SERVING_LOOK;

/// Why there is nothing to serve with.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("making a certificate: {0}")]
    Made(#[from] rcgen::Error),
}

/// Certificate and key in files of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl PairFiles {
    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), ServingError> {
        let read = |path: &Path| fs::read(path).map_err(|error| failed(path, &error));
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    /// Has their pair served.
    ///
    /// # Errors
    /// If the files cannot be read or used.
    pub fn load(&self, serving: &Serving) -> Result<(), ServingError> {
        let (chain, key) = self.read()?;
        let set = serving.set_pem(&chain, &key);
        set.map_err(|error| failed(&self.certificate, &error))
    }

    /// Puts in what the files hold whenever they change, until it is dropped.
    pub async fn follow(self, serving: Arc<Serving>) {
        let mut last = self.read().ok();
        loop {
            sleep(SERVING_LOOK).await;
            let files = self.clone();
            let read = tokio::task::spawn_blocking(move || files.read()).await;
            let Ok(Ok(read)) = read else {
                continue;
            };
            if last.as_ref() == Some(&read) {
                continue;
            }
            match serving.set_pem(&read.0, &read.1) {
                Ok(()) => tracing::info!("the serving certificate has changed"),
                // Half written, perhaps: the next look tells.
                Err(error) => tracing::warn!("a changed serving certificate is not used: {error}"),
            }
            last = Some(read);
        }
    }

    /// The pair that this kubelet makes for itself and keeps in a folder, as upstream's: `kubelet.crt` and
    /// `kubelet.key`, signed by itself, good for a year. It is made anew when it has run out or is for another node.
    ///
    /// # Errors
    /// If it cannot be made or kept.
    pub fn own(folder: &Path, name: &str, addresses: &[IpAddr]) -> Result<Self, ServingError> {
        let files = Self {
            certificate: folder.join("kubelet.crt"),
            key: folder.join("kubelet.key"),
        };
        if files.serve(name, addresses) {
            return Ok(files);
        }
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        let (chain, key) = made(name, addresses)?;
        write(&files.key, &key, 0o600)?;
        write(&files.certificate, &chain, 0o644)?;
        Ok(files)
    }

    fn serve(&self, name: &str, addresses: &[IpAddr]) -> bool {
        let Ok((chain, key)) = self.read() else {
            return false;
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Ok(pair) = Pair::read(&text(&chain), &text(&key)) else {
            return false;
        };
        let is_for = |host: &str| pair.hosts.iter().any(|known| known == host);
        pair.is_valid(Timestamp::now())
            && is_for(name)
            && addresses.iter().all(|address| is_for(&address.to_string()))
    }
}

fn made(name: &str, addresses: &[IpAddr]) -> Result<(String, String), ServingError> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    let now = Timestamp::now();
    let text = format!("{name}@{}", now.as_second());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, text);
    for address in addresses {
        params.subject_alt_names.push(SanType::IpAddress(*address));
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| {
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        rcgen::date_time_ymd(i32::from(date.year()), month, day)
    };
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(1.year()));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), ServingError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let new = path.with_extension("new");
    let wrong = |error: std::io::Error| failed(path, &error);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)
        .map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)?;
    file.sync_all().map_err(wrong)?;
    fs::rename(&new, path).map_err(wrong)
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> ServingError {
    ServingError::File {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_own_pair_is_kept_and_is_for_this_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = [IpAddr::from([10, 0, 0, 7])];
        let folder = folder.path().join("pki");
        let own = |name: &str| PairFiles::own(&folder, name, &address).expect("made");
        let first = own("n1").read().expect("read");
        assert_eq!(own("n1").read().expect("read"), first, "it is kept");
        let files = own("n2");
        assert_ne!(files.read().expect("read"), first, "another node's");
        let mode = fs::metadata(&files.key)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let serving = Serving::default();
        files.load(&serving).expect("loaded");
        let other = files.read().expect("read").0;
        assert!(serving.set_pem(b"garbage", &first.1).is_err());
        assert!(serving.set_pem(&other, &first.1).is_err());
        serving.set_pem(&first.0, &first.1).expect("replaced");
    }
}
