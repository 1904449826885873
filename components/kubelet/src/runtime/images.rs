//! Images: there, pulled, or why not.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use mainstay_cri::{
    AuthConfig, ImageSpec, ImageStatusRequest, PodSandboxConfig, PullImageRequest, Runtime,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::decide::Backoff;
use crate::limits::{PULL_BACKOFF_MAX, PULL_BACKOFF_MIN, PULL_DEADLINE};
use crate::spec::ImageUser;
use crate::status::Failure;
use crate::told::Told;

/// An image that is there.
#[derive(Clone, Debug)]
pub struct Image {
    /// As containers are made from it.
    pub id: String,
    pub user: ImageUser,
    pub size: u64,
}

/// Pulls images, and waits longer with each failure.
#[derive(Debug)]
pub struct Images {
    runtime: Runtime,
    pulls: Semaphore,
    begun: Instant,
    failed: Mutex<Failed>,
}

#[derive(Debug)]
struct Failed {
    backoff: Backoff<(String, String)>,
    /// When it failed, and what was said.
    last: std::collections::HashMap<(String, String), (Duration, String)>,
}

impl Images {
    /// At most so many pulls at a time.
    pub fn new(runtime: Runtime, pulls: usize) -> Self {
        Self {
            runtime,
            pulls: Semaphore::new(pulls.max(1)),
            begun: Instant::now(),
            failed: Mutex::new(Failed {
                backoff: Backoff::new(PULL_BACKOFF_MIN, PULL_BACKOFF_MAX),
                last: std::collections::HashMap::new(),
            }),
        }
    }

    /// Sees to it that a container's image is there.
    ///
    /// # Errors
    /// The reason for the container to wait.
    pub async fn ensure(
        &self,
        pod: &Pod,
        container: &Container,
        credentials: &[AuthConfig],
        sandbox: &PodSandboxConfig,
        told: &Told,
    ) -> Result<Image, Failure> {
        let given = container.image.as_deref().unwrap_or_default();
        let name = with_tag(given);
        let policy = container.image_pull_policy.as_deref().unwrap_or_else(|| {
            if name.ends_with(":latest") {
                "Always"
            } else {
                "IfNotPresent"
            }
        });
        let present = self.find(&name).await.map_err(|error| Failure {
            reason: "ImageInspectError".to_owned(),
            message: format!("Failed to inspect image {given:?}: {error}"),
        })?;
        match (present, policy) {
            (Some(image), "IfNotPresent" | "Never") => {
                told.container_normal(
                    &container.name,
                    "Pulled",
                    format!("Container image {given:?} already present on machine"),
                );
                return Ok(image);
            }
            (None, "Never") => {
                let message =
                    format!("Container image {given:?} is not present with pull policy of Never");
                told.container_warning(&container.name, "ErrImageNeverPull", message.clone());
                return Err(Failure {
                    reason: "ErrImageNeverPull".to_owned(),
                    message,
                });
            }
            _ => {}
        }
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let key = (uid, name.clone());
        self.wait(&key, given, container, told)?;
        self.pull(&key, container, credentials, sandbox, told).await
    }

    /// Whether it failed so recently that it is not yet tried again.
    fn wait(
        &self,
        key: &(String, String),
        given: &str,
        container: &Container,
        told: &Told,
    ) -> Result<(), Failure> {
        let now = self.begun.elapsed();
        let mut failed = self.failed.lock();
        let Some((since, words)) = failed.last.get(key).cloned() else {
            return Ok(());
        };
        if failed.backoff.remaining(key, since, now).is_some() {
            drop(failed);
            let message = format!("Back-off pulling image {given:?}");
            told.container_normal(&container.name, "BackOff", message.clone());
            told.container_warning(&container.name, "Failed", "Error: ImagePullBackOff");
            return Err(Failure {
                reason: "ImagePullBackOff".to_owned(),
                message: format!("{message}: ErrImagePull: {words}"),
            });
        }
        failed.backoff.next(key.clone(), since, now);
        Ok(())
    }

    async fn pull(
        &self,
        key: &(String, String),
        container: &Container,
        credentials: &[AuthConfig],
        sandbox: &PodSandboxConfig,
        told: &Told,
    ) -> Result<Image, Failure> {
        let given = container.image.as_deref().unwrap_or_default();
        let name = &key.1;
        told.container_normal(
            &container.name,
            "Pulling",
            format!("Pulling image {given:?}"),
        );
        let waited = Instant::now();
        let permit = self.pulls.acquire().await;
        let begun = Instant::now();
        let mut error = String::new();
        // Without credentials only if there are none.
        let attempts: Vec<Option<&AuthConfig>> = match credentials {
            [] => vec![None],
            some => some.iter().map(Some).collect(),
        };
        for auth in attempts {
            let request = PullImageRequest {
                image: Some(ImageSpec {
                    image: name.clone(),
                    user_specified_image: given.to_owned(),
                    ..ImageSpec::default()
                }),
                auth: auth.cloned(),
                sandbox_config: Some(sandbox.clone()),
            };
            match self.runtime.call_within(request, PULL_DEADLINE).await {
                Ok(_) => {
                    error.clear();
                    break;
                }
                Err(failure) => error = failure.message,
            }
        }
        drop(permit);
        if error.is_empty() {
            match self.find(name).await {
                Ok(Some(image)) => {
                    let mut failed = self.failed.lock();
                    failed.backoff.forget(key);
                    failed.last.remove(key);
                    told.container_normal(
                        &container.name,
                        "Pulled",
                        format!(
                            "Successfully pulled image {given:?} in {:?} ({:?} including waiting). Image size: {} bytes.",
                            rounded(begun.elapsed()),
                            rounded(waited.elapsed()),
                            image.size
                        ),
                    );
                    return Ok(image);
                }
                Ok(None) => error = "the image is not there after it was pulled".to_owned(),
                Err(why) => error = why,
            }
        }
        told.container_warning(
            &container.name,
            "Failed",
            format!("Failed to pull image {given:?}: {error}"),
        );
        told.container_warning(&container.name, "Failed", "Error: ErrImagePull");
        let now = self.begun.elapsed();
        let mut failed = self.failed.lock();
        let Failed { backoff, last } = &mut *failed;
        if backoff.remaining(key, now, now).is_none() {
            backoff.next(key.clone(), now, now);
        }
        last.insert(key.clone(), (now, error.clone()));
        Err(Failure {
            reason: "ErrImagePull".to_owned(),
            message: error,
        })
    }

    /// Forgets the failures of a pod that is gone.
    pub fn forget(&self, uid: &str) {
        let mut failed = self.failed.lock();
        let Failed { backoff, last } = &mut *failed;
        last.retain(|key, _| {
            let other = key.0 != uid;
            if !other {
                backoff.forget(key);
            }
            other
        });
    }

    async fn find(&self, name: &str) -> Result<Option<Image>, String> {
        let request = ImageStatusRequest {
            image: Some(ImageSpec {
                image: name.to_owned(),
                ..ImageSpec::default()
            }),
            verbose: false,
        };
        let answer = self.runtime.call(request).await;
        let image = answer.map_err(|error| error.message)?.image;
        Ok(image.map(|image| Image {
            user: match (&image.uid, image.username.is_empty()) {
                (Some(uid), _) => ImageUser::Uid(uid.value),
                (None, false) => ImageUser::Name(image.username.clone()),
                (None, true) => ImageUser::Uid(0),
            },
            id: image.id,
            size: image.size,
        }))
    }
}

fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A name with the tag that is meant where it has neither tag nor digest.
pub fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    match name.contains('@') || last.contains(':') {
        true => name.to_owned(),
        false => format!("{name}:latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_means_the_latest() {
        let cases = [
            ("busybox", "busybox:latest"),
            ("busybox:1", "busybox:1"),
            ("host:5000/a/b", "host:5000/a/b:latest"),
            ("a@sha256:0", "a@sha256:0"),
        ];
        for (name, expected) in cases {
            assert_eq!(with_tag(name), expected);
        }
    }
}
