//! An operator, who makes deployments while calls run.

use std::sync::Arc;

use cordboard::admin::Admin;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::World;

/// Somebody with a token, at the admin API of a world's gateway.
pub struct Operator {
    gateway: Arc<cordboard::gateway::Gateway>,
    url: String,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Operator {
    /// The token that lets this one in.
    pub const TOKEN: &'static str = "the-token-of-the-operator";

    /// Opens the admin API of a world whose plan sets `CORDBOARD_ADMIN_TOKEN` to [`Operator::TOKEN`].
    pub async fn of(world: &World) -> Self {
        let gateway = world.gateway();
        let admin = Admin::open(Arc::clone(&gateway)).expect("the audit log opens");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serving = tokio::spawn(async move {
            axum::serve(listener, admin.router()).await.expect("the listener does not fail");
        });
        Self { gateway, url, serving }
    }

    /// Where the admin API is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The component of a tenant that never deployed one.
    pub async fn stored(&self, tenant: &str) -> Vec<u8> {
        let deployment =
            Arc::clone(self.gateway.tenants.deployment(tenant).expect("the world has this tenant"));
        tokio::task::spawn_blocking(move || deployment.store_active())
            .await
            .expect("storing does not panic")
            .expect("the tenants directory can be written");
        let folder = self.gateway.config.tenants_dir.join(tenant);
        std::fs::read(folder.join("versions/v1/component.wasm")).expect("it was stored")
    }

    /// The live calls.
    pub async fn calls(&self) -> Vec<Value> {
        let answer = self.get("/v1/calls").await;
        answer["calls"].as_array().expect("a list of calls").clone()
    }

    /// The version that new calls of a tenant get.
    pub async fn active(&self, tenant: &str) -> String {
        let answer = self.get(&format!("/v1/tenants/{tenant}/versions")).await;
        answer["active"].as_str().expect("a tenant has an active version").to_owned()
    }

    /// What a path tells.
    pub async fn get(&self, path: &str) -> Value {
        self.told(self.client().get(format!("{}{path}", self.url))).await
    }

    /// Posts JSON, and returns what was answered with success.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.post_bytes(path, body.to_string().into_bytes()).await
    }

    /// Posts bytes, and returns what was answered with success.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Value {
        self.told(self.client().post(format!("{}{path}", self.url)).body(body)).await
    }

    fn client(&self) -> reqwest::Client {
        cordboard_sim::http::client().build().expect("a plain client builds")
    }

    async fn told(&self, request: reqwest::RequestBuilder) -> Value {
        let response =
            request.bearer_auth(Self::TOKEN).send().await.expect("the admin API answers");
        let status = response.status();
        let text = response.text().await.expect("the answer has an end");
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).expect("the admin API answers in JSON")
    }
}
