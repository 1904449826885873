//! Nodes that have the images already.

use k8s_openapi::api::core::v1::PodSpec;

use crate::limits::SCORE_MAX;
use crate::snapshot::Snapshot;

/// Images of less than this, in bytes, are not worth it;
const LEAST: i64 = 23 * 1024 * 1024;
/// more than this for each container makes no difference.
const MOST: i64 = 1000 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct ImageLocality {
    images: Vec<String>,
    containers: i64,
}

/// An image without a tag is the latest one.
fn full_name(image: &str) -> String {
    let tagged = match (image.rfind(':'), image.rfind('/')) {
        (Some(colon), Some(slash)) => colon > slash,
        (colon, _) => colon.is_some(),
    };
    if tagged {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

impl ImageLocality {
    pub(crate) fn new(spec: &PodSpec) -> Self {
        let init = spec.init_containers.iter().flatten();
        let containers = init.chain(&spec.containers);
        let volumes = spec.volumes.iter().flatten();
        let volumes = volumes.filter_map(|v| v.image.as_ref()?.reference.clone());
        let images = containers.map(|c| c.image.clone().unwrap_or_default());
        let images: Vec<_> = images.chain(volumes).map(|i| full_name(&i)).collect();
        Self {
            containers: i64::try_from(images.len()).unwrap_or(i64::MAX),
            images,
        }
    }

    /// Scores of all nodes, into `scores`. What an image is worth depends on how many nodes have it: one that few
    /// have would draw all pods to these.
    pub(crate) fn score(&self, snapshot: &Snapshot, scores: &mut Vec<i64>) {
        scores.clear();
        scores.resize(snapshot.bound(), 0);
        for image in self.images.iter().filter_map(|i| snapshot.images.get(i)) {
            let spread = image.nodes.len() as f64 / snapshot.len() as f64;
            let worth = (image.size as f64 * spread) as i64;
            for node in &image.nodes {
                scores[*node] = scores[*node].saturating_add(worth);
            }
        }
        let most = MOST.saturating_mul(self.containers).max(LEAST + 1);
        for score in scores {
            *score = SCORE_MAX * ((*score).clamp(LEAST, most) - LEAST) / (most - LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        for (image, full) in [
            ("nginx", "nginx:latest"),
            ("nginx:1", "nginx:1"),
            ("host:5000/nginx", "host:5000/nginx:latest"),
            ("host:5000/nginx:1", "host:5000/nginx:1"),
            ("nginx@sha256:abc", "nginx@sha256:abc"),
        ] {
            assert_eq!(full_name(image), full);
        }
    }
}
