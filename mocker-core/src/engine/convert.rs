//! `convert`: an image on another backend, layer by layer.

use std::sync::Arc;

use crate::backend::{Access, Chain, LayerId, Node, NodeId};
use crate::engine::init::{Admission, Target};
use crate::engine::restack::Step;
use crate::engine::{ConvertRequest, Created, Engine, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{fresh_image_id, printable};
use crate::store::image::NewVersion;
use crate::store::{Durability, image, journal, node, now};

impl Engine {
    /// Makes an image on another backend whose layers show the same trees as
    /// those of the current version of `request.image`, or of the version that it
    /// names, with its settings. The image that it was made from stays.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the image or the version, [`ErrorKind::InvalidInput`] for
    /// the backend, [`ErrorKind::Conflict`] where it is there already or the
    /// name leads to another backend, [`ErrorKind::Unsupported`] where the
    /// backend does not take so many layers, [`ErrorKind::NoSpace`],
    /// [`ErrorKind::Interrupted`] where `progress` says so.
    pub async fn convert(
        &self,
        request: ConvertRequest,
        progress: Arc<dyn Progress + Send + Sync>,
    ) -> Result<Created> {
        let driver = self.driver(&request.to)?;
        let fresh = fresh_image_id()?;
        let actor = self.actor()?;
        let backend = self.backend(driver.name).await?;
        let (intent, from, chain, target, nodes) = self.store.write(Durability::Quick, |tx| {
            let from = image::find(tx, &request.image)?;
            if from.backend == driver.name {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("image {} is on backend '{}' already", from.id, driver.name),
                )
                .with_hint("'mocker tag' gives it another name"));
            }
            let target = Target::for_name(tx, request.name.as_ref(), &fresh)?;
            target.check_backend(driver.name)?;
            let chain = node::chain(tx, from.layer)?;
            Self::refuse_depth(backend.as_ref(), &format!("image {}", from.id), chain.depth())?;
            let mut objects = target.objects();
            objects.push(format!("image {}", from.id));
            let intent = journal::begin(tx, actor, &objects)?;
            chain.layers().iter().try_for_each(|layer| node::pin(tx, intent, layer.0))?;
            let pair =
                || Ok([node::allocate(tx, intent, driver.name)?, node::allocate(tx, intent, driver.name)?]);
            let nodes = chain.layers().iter().map(|_| pair()).collect::<Result<Vec<_>>>()?;
            Ok((intent, from, chain, target, nodes))
        })?;
        crate::crash_point!("convert.after-intent");

        let admission: Arc<dyn Progress + Send + Sync> = Arc::new(Admission::new(backend.clone(), progress));
        let made = async {
            let steps = self.steps(&from.backend, &chain, &nodes).await?;
            self.restack(&backend, Chain::EMPTY, steps, &admission).await
        };
        let made = match made.await {
            Ok(made) => made,
            Err(error) => {
                let subject = printable(&request.image);
                return self.give_up(intent, error.context(format_args!("cannot convert '{subject}'"))).await;
            }
        };
        crate::crash_point!("convert.after-copy");

        let recorded = self.store.write(Durability::Flushed, |tx| {
            let mut parent = None;
            for layer in &made {
                node::becomes_layer(tx, *layer, parent)?;
                parent = Some(*layer);
            }
            let left = nodes.iter().flatten().filter(|node| !made.contains(&LayerId(**node)));
            left.copied().try_for_each(|node: NodeId| node::condemn(tx, intent, node))?;
            let Some(layer) = parent else {
                return Err(Error::new(ErrorKind::Corrupt, format!("image {} has no layers", from.id)));
            };
            target.record(
                tx,
                driver.name,
                &format!("convert of {}", from.id),
                &NewVersion {
                    layer,
                    config: &from.config,
                    created: now(),
                    created_by: &format!("mocker convert {}@{} --to {}", from.id, from.version, driver.name),
                    author: None,
                    message: None,
                },
            )
        });
        let mut created = match recorded {
            Ok(created) => created,
            Err(error) => return self.give_up(intent, error).await,
        };
        crate::crash_point!("convert.after-commit-point");
        self.keep_manifests(&[&created.image]);
        created.notes.extend(self.settle_after(intent).await);
        Ok(created)
    }

    /// A step for each layer of a chain.
    async fn steps(&self, backend: &str, chain: &Chain, nodes: &[[NodeId; 2]]) -> Result<Vec<Step>> {
        let backend = self.backend(backend).await?;
        let mut steps = Vec::new();
        let mut beneath = Chain::EMPTY;
        for (layer, nodes) in chain.layers().iter().zip(nodes) {
            beneath = beneath.with(*layer);
            let view = backend.rootfs(Node::Layer(*layer), &beneath, Access::Read).await?;
            steps.push(Step { view, leave_out: Vec::new(), nodes: *nodes });
        }
        Ok(steps)
    }
}
