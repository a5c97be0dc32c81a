//! The thin client: one HTTP/1.1 exchange over the agent's Unix socket per call. Knows no verb.

use std::{io, path::PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, task::JoinHandle};

use super::{Failure, progress};
use crate::frontends::api::ApiError;

/// Where the agent is.
#[derive(Clone, Debug, clap::Args)]
pub struct Connection {
    /// The agent's socket
    #[arg(
        long,
        value_name = "PATH",
        env = "NETD_SOCKET",
        default_value = "/run/netd/netd.sock"
    )]
    socket: PathBuf,
}

/// A way to ask the agent.
pub struct Client {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Connection {
    /// A socket that was not named by a flag.
    pub fn at(socket: PathBuf) -> Connection {
        Connection { socket }
    }

    /// Gets ready to ask; the agent is met at the first call.
    pub fn client(&self) -> Result<Client, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::refused(format!("no runtime: {error}")))?;
        Ok(Client {
            socket: self.socket.clone(),
            runtime,
        })
    }
}

impl Client {
    /// `GET path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, Bytes::new())
    }

    /// `DELETE path`.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, path, Bytes::new())
    }

    /// `DELETE path` with a JSON body.
    pub fn delete_what<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::refused(error.to_string()))?;
        self.call(Method::DELETE, path, body.into())
    }

    /// `POST path` with a JSON body.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::refused(error.to_string()))?;
        self.call(Method::POST, path, body.into())
    }

    /// The answer to `GET path` as it came: what is long is read where it is, by [`read`].
    pub fn get_bytes(&self, path: &str) -> Result<Bytes, Failure> {
        self.answer(Method::GET, path, Bytes::new())
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        read(&self.answer(method, path, body)?)
    }

    fn answer(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let exchange = self.exchange(method, path, body);
        let (status, answer) = self.runtime.block_on(progress::waiting(exchange))?;
        match status.is_success() {
            true => Ok(answer),
            false => Err(refused(status, &answer)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let (answer, connection) = self.begin(method, path, body).await?;
        let status = answer.status();
        let bytes = answer
            .into_body()
            .collect()
            .await
            .map_err(broken)?
            .to_bytes();
        connection.abort();
        Ok((status, bytes))
    }

    /// Asks; the body of the answer is still to come.
    async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>), Failure> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends with the exchange: an error shows there too.
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1{path}"))
            .header(header::HOST, "netd")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        Ok((answer, connection))
    }

    /// `GET path`, line by line, until the agent ends it or `each` has seen enough.
    pub fn lines(
        &self,
        path: &str,
        each: impl FnMut(&str) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(self.read_lines(path, each))
    }

    async fn read_lines(
        &self,
        path: &str,
        mut each: impl FnMut(&str) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let (answer, connection) = self.begin(Method::GET, path, Bytes::new()).await?;
        let status = answer.status();
        let mut body = answer.into_body();
        if !status.is_success() {
            let bytes = body.collect().await.map_err(broken)?.to_bytes();
            return Err(refused(status, &bytes));
        }
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if !each(String::from_utf8_lossy(&line).trim_end())? {
                    return Ok(());
                }
            }
        }
        connection.abort();
        Ok(())
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                let failure = Failure::refused(format!("no agent at {socket}"));
                Failure {
                    no_agent: true,
                    ..failure.hint("netd run")
                }
            }
            io::ErrorKind::PermissionDenied => {
                Failure::refused(format!("permission denied at {socket}"))
                    .hint("sudo, or join group netd")
            }
            _ => Failure::refused(format!("{socket}: {error}")),
        }
    }
}

/// An answer of the agent's.
pub fn read<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|error| {
        Failure::refused(format!("the agent's answer is not understood: {error}"))
            .hint("netd version shows whether agent and command line differ")
    })
}

fn broken(error: hyper::Error) -> Failure {
    Failure::refused(format!("the agent did not answer: {error}"))
        .hint("netd status, and the agent's log")
}

fn refused(status: StatusCode, answer: &[u8]) -> Failure {
    match serde_json::from_slice::<ApiError>(answer) {
        Ok(error) => error.into(),
        Err(_) => Failure::refused(format!("the agent answered {status}")),
    }
}

/// A name as a path segment: what RFC 3986 reserves is percent-encoded.
pub fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Client, segment};

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(segment("my-net_1.x"), "my-net_1.x");
        assert_eq!(segment("../a?b#c d\u{e9}"), "..%2Fa%3Fb%23c%20d%C3%A9");
    }

    #[test]
    fn without_an_agent_the_socket_is_named() {
        let client = Client {
            socket: "/nonexistent/netd.sock".into(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        };
        let failure = client.get::<()>("/version").unwrap_err();
        assert_eq!(
            failure.lines(),
            "netd: no agent at /nonexistent/netd.sock\ntry: netd run\n"
        );
    }
}
