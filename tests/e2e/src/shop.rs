//! A tenant's own system, asked by the model's tools.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An HTTP server: `/repair-status` answers, `/broken` fails.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    // Written by the server's task, read by the test: held for one push or one clone.
    asked: Asked,
    serving: JoinHandle<()>,
}

type Asked = Arc<Mutex<Vec<String>>>;

impl Shop {
    /// What `/repair-status` answers.
    pub const ANSWER: &'static str = r#"{"ready":true,"price":"42 pounds"}"#;

    /// Opens it on a free port.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Asked::default();
        let router = Router::new()
            .route(
                "/repair-status",
                post(|State(asked): State<Asked>, body: String| async move {
                    asked.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                    Self::ANSWER
                }),
            )
            .route(
                "/broken",
                post(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "the till is on fire") }),
            )
            .with_state(Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            // Ends with the test's runtime.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, asked, serving }
    }

    /// The URL of one of its pages.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The bodies of all requests to `/repair-status`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
