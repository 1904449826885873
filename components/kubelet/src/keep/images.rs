//! Images that nobody uses go when their disk is nearly full.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use mainstay_cri::{
    CriError, Image, ImageFsInfoRequest, ImageSpec, ListContainersRequest, ListImagesRequest,
    RemoveImageRequest, Runtime, StatusRequest, StatusResponse,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::limits::IMAGE_AGE_MIN;
use crate::runtime::with_tag;

/// What the disk of images has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub capacity: u64,
    pub free: u64,
}

impl Room {
    /// Bytes to be freed to come down to `low` percent, once `high` percent are used.
    pub fn to_free(self, high: u64, low: u64) -> u64 {
        let used = self.capacity.saturating_sub(self.free);
        let percent = |part: u64| self.capacity / 100 * part;
        match self.capacity > 0 && used >= percent(high) {
            true => used.saturating_sub(percent(low)),
            false => 0,
        }
    }
}

/// Remembers when images were first seen and last used.
#[derive(Debug)]
pub struct ImageGc {
    runtime: Runtime,
    /// In percent: above the first one images go, down to the second.
    thresholds: (u64, u64),
    known: BTreeMap<String, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    seen: Instant,
    used: Option<Instant>,
}

impl ImageGc {
    pub fn new(runtime: Runtime, thresholds: (u64, u64)) -> Self {
        Self {
            runtime,
            thresholds,
            known: BTreeMap::new(),
        }
    }

    /// One round; bytes that were freed.
    ///
    /// # Errors
    /// What the runtime said.
    pub async fn round(&mut self) -> Result<u64, CriError> {
        let images = self
            .runtime
            .call(ListImagesRequest::default())
            .await?
            .images;
        let containers = self.runtime.call(ListContainersRequest::default()).await?;
        let mut used: BTreeSet<String> = containers
            .containers
            .into_iter()
            .flat_map(|container| {
                let image = container.image.map(|image| image.image);
                [
                    container.image_id,
                    container.image_ref,
                    image.unwrap_or_default(),
                ]
            })
            .collect();
        // Runtimes that do not pin it say in this way which one sandboxes are made from.
        let verbose = self.runtime.call(StatusRequest { verbose: true }).await?;
        used.extend(sandbox_image(&verbose));
        let now = Instant::now();
        self.note(&images, &used, now);
        let Some(room) = self.room().await? else {
            return Ok(0);
        };
        let wanted = room.to_free(self.thresholds.0, self.thresholds.1);
        let mut freed = 0;
        for image in self.candidates(&images, &used, now, IMAGE_AGE_MIN) {
            if freed >= wanted {
                break;
            }
            let request = RemoveImageRequest {
                image: Some(ImageSpec {
                    image: image.id.clone(),
                    ..ImageSpec::default()
                }),
            };
            self.runtime.call(request).await?;
            tracing::info!(
                image = image.id,
                bytes = image.size,
                "an image was removed to free room"
            );
            self.known.remove(&image.id);
            freed += image.size;
        }
        if freed < wanted {
            tracing::info!("freed {freed} bytes of images and wanted {wanted}");
        }
        Ok(freed)
    }

    fn note(&mut self, images: &[Image], used: &BTreeSet<String>, now: Instant) {
        let there: BTreeSet<&String> = images.iter().map(|image| &image.id).collect();
        self.known.retain(|id, _| there.contains(id));
        for image in images {
            let known = self.known.entry(image.id.clone()).or_insert(Known {
                seen: now,
                used: None,
            });
            if is_used(image, used) {
                known.used = Some(now);
            }
        }
    }

    /// Unused for longest first; young ones and pinned ones never.
    fn candidates<'a>(
        &self,
        images: &'a [Image],
        used: &BTreeSet<String>,
        now: Instant,
        age: Duration,
    ) -> Vec<&'a Image> {
        let mut all: Vec<(Known, &Image)> = images
            .iter()
            .filter(|image| !image.pinned && !is_used(image, used))
            .filter_map(|image| Some((*self.known.get(&image.id)?, image)))
            .filter(|(known, _)| now.duration_since(known.seen) >= age)
            .collect();
        all.sort_by_key(|(known, _)| (known.used, known.seen));
        all.into_iter().map(|(_, image)| image).collect()
    }

    async fn room(&self) -> Result<Option<Room>, CriError> {
        let answer = self.runtime.call(ImageFsInfoRequest::default()).await?;
        let systems = answer.image_filesystems.into_iter();
        let points = systems.filter_map(|system| system.fs_id.map(|id| id.mountpoint));
        for point in points {
            if let Ok(stat) = rustix::fs::statvfs(Path::new(&point)) {
                return Ok(Some(Room {
                    capacity: stat.f_blocks.saturating_mul(stat.f_frsize),
                    free: stat.f_bavail.saturating_mul(stat.f_frsize),
                }));
            }
        }
        Ok(None)
    }
}

/// The image of sandboxes, as containerd tells it.
fn sandbox_image(status: &StatusResponse) -> Option<String> {
    let config: Value = serde_json::from_str(status.info.get("config")?).ok()?;
    let image = config.get("sandboxImage")?.as_str()?;
    Some(with_tag(image))
}

fn is_used(image: &Image, used: &BTreeSet<String>) -> bool {
    let names = image.repo_tags.iter().chain(&image.repo_digests);
    used.contains(&image.id) || names.into_iter().any(|name| used.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_down_to_the_low_mark() {
        let room = |used: u64| Room {
            capacity: 1000,
            free: 1000 - used,
        };
        for (used, expected) in [(0, 0), (849, 0), (850, 50), (900, 100), (1000, 200)] {
            assert_eq!(room(used).to_free(85, 80), expected, "{used}");
        }
        let none = Room {
            capacity: 0,
            free: 0,
        };
        assert_eq!(none.to_free(85, 80), 0);
    }

    #[test]
    fn the_image_of_sandboxes_is_in_use() {
        let status = |config: &str| StatusResponse {
            info: BTreeMap::from([("config".to_owned(), config.to_owned())]),
            ..StatusResponse::default()
        };
        let found = sandbox_image(&status(r#"{"sandboxImage": "registry.example/pause"}"#));
        assert_eq!(found.as_deref(), Some("registry.example/pause:latest"));
        for config in ["", "[]", "{}", r#"{"sandboxImage": 1}"#] {
            assert_eq!(sandbox_image(&status(config)), None, "{config}");
        }
    }

    #[tokio::test]
    async fn who_was_unused_for_longest_goes_first() {
        let image = |id: &str| Image {
            id: id.to_owned(),
            repo_tags: vec![format!("{id}:1")],
            ..Image::default()
        };
        let mut images = vec![image("a"), image("b"), image("c"), image("d")];
        images[3].pinned = true;
        let runtime = Runtime::new("/run/none.sock").expect("a path");
        let mut gc = ImageGc::new(runtime, (85, 80));
        let used = |ids: &[&str]| {
            ids.iter()
                .map(|id| format!("{id}:1"))
                .collect::<BTreeSet<_>>()
        };
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        gc.note(&images, &used(&["a", "b"]), begun);
        gc.note(&images, &used(&["a", "d"]), after(10));
        let age = Duration::from_secs(60);
        let found = gc.candidates(&images, &used(&["d"]), after(61), age);
        let ids: Vec<&str> = found.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(ids, ["c", "b", "a"]);
        assert!(
            gc.candidates(&images, &used(&[]), after(59), age)
                .is_empty()
        );
    }
}
