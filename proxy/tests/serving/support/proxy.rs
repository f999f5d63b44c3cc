//! A proxy in this process, with a snapshot through the channel that the controller's would come through.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use penstock_proto::dialect::{CredentialScheme, Dialect};
use penstock_proto::event::Event;
use penstock_proto::secret::Secret;
use penstock_proto::snapshot::{
    Account, AccountLimits, Credential, Egress, ModelMapping, Pool, Snapshot, Strategy,
};
use penstock_proxy::app::{App, Source, TaskEnded};
use penstock_proxy::config::Config;
use penstock_proxy::observations::Observations;
use penstock_proxy::shutdown::Shutdown;
use penstock_proxy::sink::Sink;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Answer, Client, get, post};
use super::provider::Provider;

pub(crate) struct Proxy {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) sink: Sink,
    pub(crate) observations: Observations,
    snapshots: watch::Sender<Arc<Snapshot>>,
    running: JoinSet<Result<(), TaskEnded>>,
}

/// An Anthropic account on a provider. The first one made for a test has the best priority.
pub(crate) fn account(name: &str, provider: &Provider, priority: u8) -> Account {
    let secret = Secret::new(format!("sk-ant-of-{name}"));
    let credential = Credential {
        scheme: CredentialScheme::AnthropicApiKey,
        fingerprint: secret.fingerprint(),
        secret,
        account_id: None,
        expires_at: None,
    };
    Account {
        id: format!("default/{name}").parse().unwrap(),
        provider: "anthropic".into(),
        family: "anthropic".into(),
        dialects: vec![Dialect::AnthropicMessages],
        base_url: format!("http://{}", provider.address),
        credential: Some(credential),
        priority,
        paused: false,
        allow_models: Vec::new(),
        model_map: Vec::new(),
        limits: AccountLimits::default(),
        headers: Vec::new(),
        egress: Egress::default(),
        session_tracked: false,
        auto_fallback: true,
    }
}

/// The same for `OpenAI`.
pub(crate) fn openai(name: &str, provider: &Provider) -> Account {
    let mut account = account(name, provider, 0);
    account.provider = "openai".into();
    account.family = "openai".into();
    account.dialects = vec![Dialect::OpenaiChat, Dialect::OpenaiResponses];
    account.base_url = format!("http://{}/v1", provider.address);
    if let Some(credential) = &mut account.credential {
        credential.scheme = CredentialScheme::Bearer;
    }
    account
}

/// The default pool of these accounts: patient with connections, not with overload.
pub(crate) fn pool(accounts: &[Account]) -> Pool {
    Pool {
        id: "default/default".parse().unwrap(),
        accounts: accounts.iter().map(|account| account.id.clone()).collect(),
        strategy: Strategy::SessionAffinity,
        affinity_ttl: Duration::from_secs(3600),
        attempts: 4,
        per_try_timeout: Duration::from_secs(60),
        overload_retries: 0,
        hold: Duration::ZERO,
        fallbacks: Vec::new(),
    }
}

pub(crate) fn mapped(mut account: Account, glob: &str, model: &str) -> Account {
    account.model_map.push(ModelMapping { glob: glob.into(), models: vec![model.into()] });
    account
}

pub(crate) fn snapshot(accounts: Vec<Account>, pool: Pool) -> Snapshot {
    Snapshot {
        version: "v1".into(),
        as_of: Some(Timestamp::now()),
        pools: BTreeMap::from([(pool.id.clone(), Arc::new(pool))]),
        accounts: accounts.into_iter().map(|account| (account.id.clone(), Arc::new(account))).collect(),
        ..Snapshot::default()
    }
}

impl Proxy {
    /// Ready, with these accounts in its default pool.
    pub(crate) async fn start(accounts: Vec<Account>) -> Self {
        let pool = pool(&accounts);
        Self::start_with(accounts, pool, |_| {}).await
    }

    pub(crate) async fn start_with(
        accounts: Vec<Account>,
        pool: Pool,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        Self::start_in(snapshot(accounts, pool), adjust).await
    }

    /// Ready, with everything as pushed.
    pub(crate) async fn start_in(snapshot: Snapshot, adjust: impl FnOnce(&mut Config)) -> Self {
        let flags = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut config = Config::from_flags(flags).unwrap();
        adjust(&mut config);
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot));
        let shutdown = Shutdown::new();
        let app = App::start(config, Source::Channel(receiver), shutdown.clone()).await.unwrap();
        let (listen, admin) = (app.listen(), app.admin());
        let (sink, observations) = (app.sink(), app.observations());
        let mut running = JoinSet::new();
        running.spawn(app.run());
        let proxy = Self { listen, admin, shutdown, sink, observations, snapshots, running };
        while proxy.admin("/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
        proxy
    }

    /// Serves with everything as pushed now.
    pub(crate) async fn push(&self, snapshot: Snapshot) {
        let version = format!("\"{}\"", snapshot.version);
        self.snapshots.send_replace(Arc::new(snapshot));
        while !self.admin("/debug/state").await.text().contains(&version) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.listen).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.client().await;
        client.write(request).await;
        client.answer().await
    }

    /// One POST.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(post(path, "", body)).await
    }

    pub(crate) async fn admin(&self, path: &str) -> Answer {
        let mut client = Client::connect(self.admin).await;
        client.write(get(path, "")).await;
        client.answer().await
    }

    /// The next history event. Fails if there is more than one.
    pub(crate) async fn event(&self) -> Event {
        let mut events = self.events(1).await;
        events.remove(0)
    }

    /// So many history events, and no more.
    pub(crate) async fn events(&self, count: usize) -> Vec<Event> {
        let at_once = CancellationToken::new();
        at_once.cancel();
        let mut events = Vec::new();
        while events.len() < count {
            let batch = self.sink.take(100, &at_once).await;
            events.extend(batch.events().iter().map(|event| Event::from_bytes(event).unwrap()));
            batch.stored();
        }
        assert_eq!(events.len(), count, "one event per request: {events:#?}");
        events
    }

    /// Waits for the process's end after a stop was asked for.
    pub(crate) async fn ended(&mut self) -> Result<(), TaskEnded> {
        self.running.join_next().await.unwrap().unwrap()
    }
}
