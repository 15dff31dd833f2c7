//! Servers of files in a test's own process: S3 (`s3s-fs`) and WebDAV (`dav-server`) over a directory, on real sockets. Each
//! request is noted as the server saw it, with the bytes that it was answered by.

mod bucket;
mod manner;
mod note;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use dav_server::DavHandler;
use dav_server::fakels::FakeLs;
use dav_server::localfs::LocalFs;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use s3s::service::S3Service;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use bucket::{ACCESS_KEY_ID, DENIED_BUCKET, OPEN_BUCKET, SECRET_ACCESS_KEY};
pub use manner::Manner;
pub use note::Note;

use note::Notes;

/// The bucket of every S3 server, which only the account may read.
pub const BUCKET: &str = "data";

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A server; gone when dropped.
#[derive(Debug)]
pub struct Store {
    directory: TempDir,
    /// Where its files lie, below the directory.
    files: PathBuf,
    root: String,
    address: String,
    authority: Option<PathBuf>,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    server: Server,
    notes: Notes,
    manner: Manner,
}

enum Server {
    S3(S3Service),
    Web(Box<DavHandler>),
}

impl Debug for Server {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::S3(_) => "S3",
            Self::Web(_) => "Web",
        })
    }
}

impl Store {
    /// An S3 server with the buckets [`BUCKET`], [`OPEN_BUCKET`] and [`DENIED_BUCKET`].
    pub async fn s3(manner: Manner) -> Self {
        let directory = TempDir::with_prefix("chancery-s3-").expect("a temporary directory");
        for bucket in [BUCKET, OPEN_BUCKET, DENIED_BUCKET] {
            std::fs::create_dir(directory.path().join(bucket)).expect("a writable directory");
        }
        std::fs::write(directory.path().join("id.key"), ACCESS_KEY_ID).expect("a writable directory");
        std::fs::write(directory.path().join("secret.key"), SECRET_ACCESS_KEY).expect("a writable directory");
        let server = Server::S3(bucket::service(directory.path(), &manner));
        let files = directory.path().join(BUCKET);
        Self::start(directory, files, server, manner, |_| format!("s3://{BUCKET}")).await
    }

    /// A server of files, which lists directories if its manner is to.
    pub async fn web(manner: Manner) -> Self {
        let directory = TempDir::with_prefix("chancery-web-").expect("a temporary directory");
        let files = directory.path().join("files");
        std::fs::create_dir(&files).expect("a writable directory");
        let handler = DavHandler::builder()
            .filesystem(LocalFs::new(directory.path(), false, false, false))
            .locksystem(FakeLs::new())
            .build_handler();
        let server = Server::Web(Box::new(handler));
        Self::start(directory, files, server, manner, |address| format!("{address}/files")).await
    }

    async fn start(
        directory: TempDir,
        files: PathBuf,
        server: Server,
        manner: Manner,
        root: impl Fn(&str) -> String,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let tls = manner.over_tls.then(|| certified(directory.path()));
        let (acceptor, authority) = tls.unzip();
        let address = format!("{}://localhost:{port}", if acceptor.is_some() { "https" } else { "http" });
        let shared = Arc::new(Shared { server, notes: Notes::default(), manner });
        let serving = Arc::clone(&shared);
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, acceptor) = (Arc::clone(&serving), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => shared.serve(stream).await,
                        // A client that does not believe us goes away.
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                shared.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self { directory, files, root: root(&address), address, authority, shared, listener }
    }

    /// Where its files lie: what is written there is served.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// A directory for keys and certificates, beside the files.
    pub fn beside(&self) -> &Path {
        self.directory.path()
    }

    /// `scheme://localhost:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The certificate of the authority that its own is of, over TLS.
    pub fn authority(&self) -> &Path {
        self.authority.as_deref().expect("a server over TLS")
    }

    /// The options of a `files` source over it, as a configuration has them beside `name` and `kind`.
    pub fn options(&self) -> toml::Table {
        self.options_through(&self.address)
    }

    /// The same, reached at another address, such as a relay's.
    pub fn options_through(&self, address: &str) -> toml::Table {
        let mut options = toml::Table::new();
        match &self.shared.server {
            Server::S3(_) => {
                options.insert("root".into(), self.root.clone().into());
                options.insert("endpoint".into(), address.into());
                for (key, file) in [("access_key_id_file", "id.key"), ("secret_access_key_file", "secret.key")] {
                    options.insert(key.into(), self.beside().join(file).display().to_string().into());
                }
            }
            Server::Web(_) => {
                options.insert("root".into(), self.root.replace(&self.address, address).into());
            }
        }
        match &self.authority {
            Some(authority) => options.insert("tls_ca".into(), authority.display().to_string().into()),
            None => options.insert("allow_http".into(), true.into()),
        };
        options
    }

    /// How it behaves, which may be changed while it runs.
    pub fn manner(&self) -> &Manner {
        &self.shared.manner
    }

    /// The requests since the last call of this, in the order in which they came.
    pub fn take_notes(&self) -> Vec<Note> {
        self.shared.notes.take()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = service_fn(move |request| {
            let shared = Arc::clone(&self);
            async move { shared.answer(request).await }
        });
        // A client may go away in the midst of an answer.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
        let note = self.notes.begin(&request);
        if let Some(canned) = self.manner.before(&mut request) {
            return Ok(note.end(canned));
        }
        let is_listing = request.method().as_str() == "PROPFIND";
        let answer = match &self.server {
            Server::S3(service) => {
                let answer = hyper::service::Service::call(service, request).await;
                of_server(answer.map_err(|error| io::Error::other(format!("{error:?}")))?)
            }
            Server::Web(handler) => of_server(handler.handle(request).await),
        };
        Ok(note.end(self.manner.after(is_listing, answer)))
    }
}

fn of_server<B>(answer: Response<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes, Error: Debug> + Send + 'static,
{
    answer.map(|body| body.map_err(|error| io::Error::other(format!("{error:?}"))).boxed_unsync())
}

/// A certificate of its own authority for `localhost`, which is left in `directory`.
fn certified(directory: &Path) -> (TlsAcceptor, PathBuf) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_string()]).expect("a certificate");
    let authority = directory.join("authority.crt");
    std::fs::write(&authority, cert.pem()).expect("a writable directory");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a usable certificate");
    (TlsAcceptor::from(Arc::new(config)), authority)
}
