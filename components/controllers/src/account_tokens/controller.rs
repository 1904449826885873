//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use mainstay_auth::authn::SigningKey;
use mainstay_client::{Change, Informer, Queue, delete_exactly, unless_gone, unless_stale};

use super::claims::claims;
use super::secret::{Account, Named, filled};
use crate::context::Context;

/// Fills token secrets, and deletes those whose account is gone. Without a key in the options there is nothing to do.
pub async fn account_tokens(cx: Context) {
    let Some(key) = cx.options.service_account_key.clone() else {
        return std::future::pending().await;
    };
    let controller = Arc::new(Controller {
        accounts: cx.informers.of(),
        secrets: cx.informers.of(),
        gone: cx.queue("serviceaccount_tokens_service"),
        queue: cx.queue("serviceaccount_tokens_secret"),
        key,
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    accounts: Arc<Informer<ServiceAccount>>,
    secrets: Arc<Informer<Secret>>,
    /// Accounts that were deleted.
    gone: Queue<Account>,
    queue: Queue<Named>,
    key: Arc<SigningKey>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Server(#[from] kube::Error),
    #[error("no token: the system gives no randomness")]
    NoRandomness,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let gone = self.gone.clone();
        self.accounts.on(move |change| {
            if let Change::Deleted(account) = change {
                gone.add(Account::of(account));
            }
        });
        let queue = self.queue.clone();
        self.secrets.on(move |change| {
            if let Some(named) = Named::of(change.object()) {
                queue.add(named);
            }
        });
        self.accounts.synced().await;
        self.secrets.synced().await;
        let workers = self.cx.options.concurrent_serviceaccount_token_syncs;
        let delete = async |this: Arc<Self>, account: Account| this.account_gone(&account).await;
        let work = async |this: Arc<Self>, named: Named| this.sync(&named).await;
        tokio::join!(
            self.gone.work_for(&self, workers, delete),
            self.queue.work_for(&self, workers, work)
        );
    }

    async fn account_gone(&self, account: &Account) -> Result<Option<Duration>, Failed> {
        for secret in self.secrets.cache().in_namespace(&account.key.namespace) {
            if Named::of(&secret).is_some_and(|named| named.account == *account) {
                self.delete(&secret).await?;
            }
        }
        Ok(None)
    }

    async fn sync(&self, named: &Named) -> Result<Option<Duration>, Failed> {
        let secret = self.secrets.cache().get(&named.key);
        let secret = secret.filter(|own| own.metadata.uid.as_deref() == Some(&named.uid));
        let Some(secret) = secret else {
            self.forget(named).await?;
            return Ok(None);
        };
        // Its annotations may be others by now; then it is told of by another name.
        if Named::of(&secret).as_ref() != Some(named) {
            return Ok(None);
        }
        match self.account(&named.account).await? {
            Some(account) => self.fill(&secret, &account).await?,
            None => self.delete(&secret).await?,
        }
        Ok(None)
    }

    /// What the cache does not show may be new: who deletes asks the server first.
    async fn account(&self, account: &Account) -> kube::Result<Option<ServiceAccount>> {
        let known = self.accounts.cache().get(&account.key);
        if let Some(known) = known.filter(|known| account.is(known)) {
            return Ok(Some(ServiceAccount::clone(&known)));
        }
        let api: Api<ServiceAccount> =
            Api::namespaced(self.cx.client.clone(), &account.key.namespace);
        let found = api.get_opt(&account.key.name).await?;
        Ok(found.filter(|found| account.is(found)))
    }

    async fn fill(&self, secret: &Secret, account: &ServiceAccount) -> Result<(), Failed> {
        let token = || {
            let token = self.key.sign_payload(&claims(account, secret));
            token.ok_or(Failed::NoRandomness)
        };
        let ca = self.cx.options.root_ca.as_deref();
        let Some(whole) = filled(secret, account, ca, token)? else {
            return Ok(());
        };
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        // With the resourceVersion of the cache: a token that was filled in unseen is not replaced.
        let api = self.api(secret);
        unless_stale(api.replace(name, &PostParams::default(), &whole).await)?;
        Ok(())
    }

    async fn delete(&self, secret: &Secret) -> Result<(), Failed> {
        delete_exactly(&self.api(secret), secret).await?;
        Ok(())
    }

    fn api(&self, secret: &Secret) -> Api<Secret> {
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.cx.client.clone(), namespace)
    }

    /// The account no longer names a secret that is gone.
    async fn forget(&self, named: &Named) -> Result<(), Failed> {
        let Account { key, .. } = &named.account;
        let known = self.accounts.cache().get(key);
        if !known.is_some_and(|known| named.account.is(&known)) {
            return Ok(());
        }
        let api: Api<ServiceAccount> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let Some(mut account) = api.get_opt(&key.name).await? else {
            return Ok(());
        };
        let is_own = |name: &Option<String>| name.as_deref() == Some(&named.key.name);
        let secrets = account.secrets.get_or_insert_default();
        let before = secrets.len();
        secrets.retain(|reference| !is_own(&reference.name));
        if !named.account.is(&account) || account.secrets.as_ref().map_or(0, Vec::len) == before {
            return Ok(());
        }
        unless_gone(
            api.replace(&key.name, &PostParams::default(), &account)
                .await,
        )?;
        Ok(())
    }
}
