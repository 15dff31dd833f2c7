//! A real OpenID Connect issuer of a test's own: `oidc-provider` of npm, as `tests/clients/oidc` configures it; stopped when
//! dropped. The program is the one that `CHANCERY_OIDC_PROVIDER` names.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Names the program; its packages come from npm.
const PROGRAM: &str = "CHANCERY_OIDC_PROVIDER";

/// An issuer; dropped, it is stopped.
#[derive(Debug)]
pub struct Provider {
    port: u16,
    running: Option<(Child, BufReader<ChildStdout>)>,
}

impl Provider {
    /// Starts an issuer with keys of its own.
    pub fn start() -> Self {
        let mut provider = Self::stopped();
        provider.restart();
        provider
    }

    /// An issuer that has an address and does not run.
    pub fn stopped() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self { port: listener.local_addr().expect("an address").port(), running: None }
    }

    /// Its name, which is where it is reached.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts a stopped issuer, with other keys, where it was.
    pub fn restart(&mut self) {
        let program = std::env::var_os(PROGRAM);
        let program = program.unwrap_or_else(|| panic!("no issuer: tests/all installs it, and {PROGRAM} names it"));
        let mut command = Command::new("node");
        command.arg(program).arg(self.port.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("Node runs");
        let told = BufReader::new(process.stdout.take().expect("what it prints"));
        self.running = Some((process, told));
        self.wait_for("ready");
    }

    /// Has it sign with other keys from now on, and publish no longer those that it had.
    pub fn rotate(&mut self) {
        let (process, _) = self.running.as_ref().expect("it runs");
        let hang_up = Command::new("kill").args(["-HUP", &process.id().to_string()]).status().expect("kill runs");
        assert!(hang_up.success());
        self.wait_for("rotated");
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some((mut process, _)) = self.running.take() {
            // It may be gone already, which is what is wanted.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// A token of the client for that resource, by an ordinary request of the client-credentials grant.
    pub async fn token(&self, client: &str, resource: &str, scope: Option<&str>) -> String {
        let scope = scope.map(|scope| format!("&scope={scope}")).unwrap_or_default();
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client")
            .post(format!("{}/token", self.issuer()))
            .basic_auth(client, Some("secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=client_credentials&resource={resource}{scope}"))
            .send()
            .await
            .expect("the issuer answers");
        let answer = answer.text().await.expect("an answer");
        let told: Value = serde_json::from_str(&answer).expect("JSON");
        told["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_string()
    }

    fn wait_for(&mut self, word: &str) {
        let (_, told) = self.running.as_mut().expect("it runs");
        let mut line = String::new();
        while line.trim() != word {
            line.clear();
            assert!(
                told.read_line(&mut line).expect("what it prints") > 0,
                "the issuer ended; are its packages there?"
            );
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}
