//! The model's place in a call: nobody, somebody being connected, or somebody there.

use std::sync::Arc;
use std::time::Duration;

use cordboard_call::contract::ModelInfo;
use cordboard_call::{Input, ToModel};
use cordboard_wire::openai::ServerEvent;
use tokio::task::JoinHandle;
use tracing::debug;

use super::{ConnectError, Down, ModelEndpoint, ModelIn, ModelSocket};

/// Boxed, as it moves from task to task.
type Connected = (Box<ModelSocket>, ModelInfo);

/// A connection being made by a task of its own, so that nobody waits for it. Dropping it gives up.
#[derive(Default)]
pub struct Connecting {
    task: Option<JoinHandle<Result<Connected, ConnectError>>>,
}

impl Connecting {
    /// Begins to connect.
    pub fn begin(endpoint: Arc<ModelEndpoint>) -> Self {
        let task = tokio::spawn(async move {
            let (socket, info) = ModelSocket::connect(&endpoint).await?;
            Ok((Box::new(socket), info))
        });
        Self { task: Some(task) }
    }

    /// Takes the attempt over and leaves none behind.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self { task: self.task.take() }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What a call holds of the model.
#[derive(Default)]
pub struct ModelLeg {
    state: State,
    /// Messages that could not be read, since they were last counted.
    malformed: u32,
}

#[derive(Default)]
enum State {
    #[default]
    Nobody,
    Connecting(Connecting),
    Up(Box<ModelSocket>),
}

/// Takes over an attempt that was begun while the carrier read the webhook's answer.
impl From<Connecting> for ModelLeg {
    fn from(connecting: Connecting) -> Self {
        Self { state: State::Connecting(connecting), malformed: 0 }
    }
}

impl ModelLeg {
    /// Begins to connect; what there was before is dropped.
    pub fn connect(&mut self, endpoint: Arc<ModelEndpoint>) {
        self.state = State::Connecting(Connecting::begin(endpoint));
    }

    /// How many messages could not be read since this was last asked.
    pub fn take_malformed(&mut self) -> u32 {
        std::mem::take(&mut self.malformed)
    }

    /// Says goodbye, or gives up connecting. Nothing more comes from [`ModelLeg::next`].
    pub fn close(&mut self) {
        match std::mem::take(&mut self.state) {
            // A task of its own: the caller does not wait for a server's manners.
            State::Up(socket) => drop(tokio::spawn(socket.close(CLOSE_DEADLINE))),
            State::Nobody | State::Connecting(_) => {}
        }
    }

    /// Says something to the model. While nobody is there it goes nowhere: the call holds what must
    /// not be lost.
    pub fn tell(&mut self, message: ToModel) -> Option<Input> {
        let State::Up(socket) = &mut self.state else { return None };
        let queued = match message {
            ToModel::Append(audio) => socket.queue_append(&audio),
            ToModel::Event(event) => socket.queue_event(&event),
        };
        queued.err().map(|down| self.down(down))
    }

    /// Waits for what the model's side has to tell the call. Safe to drop at any time; waits for ever
    /// while nobody is there.
    pub async fn next(&mut self) -> Input {
        loop {
            match &mut self.state {
                State::Nobody => std::future::pending().await,
                State::Connecting(connecting) => {
                    let Some(task) = &mut connecting.task else {
                        self.state = State::Nobody;
                        continue;
                    };
                    let finished = task.await;
                    connecting.task = None;
                    match finished {
                        Ok(Ok((socket, info))) => {
                            self.state = State::Up(socket);
                            return Input::ModelUp { info };
                        }
                        Ok(Err(error)) => {
                            self.state = State::Nobody;
                            return Input::ModelDown {
                                reason: error.to_string(),
                                retry: error.retry(),
                                refused: error.rejection(),
                            };
                        }
                        // A panic is a bug of ours; another attempt may go another way.
                        Err(error) => {
                            let reason = format!("connecting failed within this host: {error}");
                            return self.down(Down { reason, retry: true, refused: None });
                        }
                    }
                }
                State::Up(socket) => match socket.next().await {
                    // A second one would be a server's mistake, and means nothing to a call.
                    ModelIn::Event(ServerEvent::SessionCreated { .. }) => {}
                    ModelIn::Event(event) => return Input::Model(event),
                    ModelIn::Malformed(malformed) => {
                        self.malformed += 1;
                        debug!(%malformed, "ignored");
                    }
                    ModelIn::Down(down) => return self.down(down),
                },
            }
        }
    }

    fn down(&mut self, down: Down) -> Input {
        self.state = State::Nobody;
        Input::ModelDown { reason: down.reason, retry: down.retry, refused: down.refused }
    }
}

/// For the server to answer our close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
