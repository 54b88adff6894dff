//! What the registry carries: one JSON-RPC message as text, exactly what a pipe or a socket would carry.

use std::collections::HashMap;

use rmcp::model::RequestId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// One JSON-RPC message as text.
#[derive(Clone, Debug)]
pub struct Frame(String);

/// What can be told of a JSON-RPC message without knowing its method.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Header {
    /// A request and a notification have one, an answer has none.
    pub(crate) method: Option<String>,
    /// A request and its answer share one, a notification has none.
    pub(crate) id: Option<RequestId>,
}

impl Frame {
    pub(crate) fn write(message: &impl Serialize) -> Self {
        Self(serde_json::to_string(message).expect("the keys of a JSON-RPC message are text"))
    }

    /// `None` if it is not what is expected.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.0).ok()
    }

    /// Empty if it is not JSON-RPC.
    pub(crate) fn header(&self) -> Header {
        self.read().unwrap_or_default()
    }
}

/// The methods of requests that were received and not answered yet, to tell what an answer answers.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(HashMap<RequestId, String>);

impl Unanswered {
    /// Takes note of a frame that was received.
    pub(crate) fn received(&mut self, frame: &Frame) {
        if let Header { method: Some(method), id: Some(id) } = frame.header() {
            self.0.insert(id, method);
        }
    }

    /// The method of a frame that is to be sent; of an answer, the method that it answers.
    pub(crate) fn method_of(&mut self, frame: &Frame) -> String {
        let method = match frame.header() {
            Header { method: Some(method), .. } => Some(method),
            Header { id: Some(id), .. } => self.0.remove(&id),
            Header { .. } => None,
        };
        method.unwrap_or_else(|| "unknown".to_owned())
    }
}
