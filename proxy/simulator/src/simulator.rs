//! A running simulator: started from its configuration, stopped when dropped.

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, TlsError,
    bench::Prepared,
    control,
    limits::LimitSpec,
    listener::{self, CONTROL, Serves},
    state::State,
    tls,
};

/// A simulator that serves until it is dropped.
#[derive(Debug)]
pub struct Simulator {
    listen: SocketAddr,
    control: SocketAddr,
    ca_pem: Option<String>,
    state: Arc<State>,
    stop: CancellationToken,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The file of accounts cannot be read.
    #[error("cannot read the accounts in {path}")]
    Accounts {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of accounts is wrong.
    #[error("the accounts in {path} are wrong: {source}")]
    AccountsSyntax {
        /// Where.
        path: PathBuf,
        /// Line and reason.
        source: serde_json::Error,
    },
    /// TLS cannot be had.
    #[error("no TLS")]
    Tls(#[from] TlsError),
    /// The CA certificate cannot be written.
    #[error("cannot write the CA certificate to {path}")]
    WriteCa {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Simulator {
    /// Starts it on the current runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let config = config.settled();
        let own = own_accounts(&config)?;
        let listener = bind(config.listen).await?;
        let listen = local_address(&listener, config.listen)?;
        let state = Arc::new(State::new(&config, own.clone()));
        for rule in config.faults() {
            state.fault(rule);
        }
        let router = control::router(Arc::clone(&state));
        let stop = CancellationToken::new();

        let identity = config.tls.then(|| tls::identity(listen.ip())).transpose()?;
        let ca_pem = identity.as_ref().map(|identity| identity.ca_pem.clone());
        if let (Some(path), Some(pem)) = (&config.ca_out, &ca_pem) {
            std::fs::write(path, pem).map_err(|source| StartError::WriteCa { path: path.clone(), source })?;
        }
        let acceptor = identity.map(|identity| TlsAcceptor::from(identity.config));

        // A plaintext control interface cannot share a TLS listener, nor the prepared answers' one.
        let apart =
            config.control_listen.or_else(|| (config.tls || config.bench).then(|| (listen.ip(), 0).into()));
        let control = match apart {
            None => listen,
            Some(address) => {
                let listener = bind(address).await?;
                let address = local_address(&listener, address)?;
                listener::start(listener, None, Serves::Control(router.clone()), stop.clone());
                address
            }
        };
        let serves = if config.bench {
            Serves::Prepared(Arc::new(Prepared::new(State::new(&config, own))))
        } else {
            Serves::All(Arc::clone(&state), router)
        };
        listener::start(listener, acceptor, serves, stop.clone());
        Ok(Self { listen, control, ca_pem, state, stop })
    }

    /// Where the providers are.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.listen)
    }

    /// The base URL of Anthropic, as its SDK wants it.
    pub fn anthropic_url(&self) -> String {
        format!("{}/anthropic", self.url())
    }

    /// The base URL of `OpenAI`, as its SDK wants it.
    pub fn openai_url(&self) -> String {
        format!("{}/openai/v1", self.url())
    }

    /// The base URL of the Codex backend.
    pub fn codex_url(&self) -> String {
        format!("{}/codex", self.url())
    }

    /// The control interface.
    pub fn control_url(&self) -> String {
        format!("http://{}{CONTROL}", self.control)
    }

    /// The CA to trust, with TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Journal, accounts and faults, for a test in the same process.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    listener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn local_address(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { address, source })
}

fn own_accounts(config: &Config) -> Result<BTreeMap<String, LimitSpec>, StartError> {
    let Some(path) = &config.accounts else { return Ok(BTreeMap::new()) };
    let text = std::fs::read(path).map_err(|source| StartError::Accounts { path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| StartError::AccountsSyntax { path: path.clone(), source })
}
