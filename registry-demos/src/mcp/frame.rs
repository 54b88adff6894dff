//! The message type: one JSON-RPC message as text, as a pipe or a socket would carry it.

use std::collections::HashMap;

use rmcp::model::RequestId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// One JSON-RPC message as text.
#[derive(Clone, Debug)]
pub struct Frame(String);

/// The fields of a JSON-RPC message that do not depend on its method.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Header {
    /// Present in requests and notifications, absent in responses.
    pub(crate) method: Option<String>,
    /// Shared by a request and its response, absent in notifications.
    pub(crate) id: Option<RequestId>,
}

impl Frame {
    pub(crate) fn write(message: &impl Serialize) -> Self {
        Self(serde_json::to_string(message).expect("the keys of a JSON-RPC message are strings"))
    }

    /// Returns `None` if the message is not a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.0).ok()
    }

    /// Returns an empty header if the message is not JSON-RPC.
    pub(crate) fn header(&self) -> Header {
        self.read().unwrap_or_default()
    }
}

/// The methods of requests received and not yet answered, by request id.
#[derive(Debug, Default)]
pub(crate) struct PendingRequests(HashMap<RequestId, String>);

impl PendingRequests {
    /// Records a received message if it is a request.
    pub(crate) fn received(&mut self, frame: &Frame) {
        if let Header { method: Some(method), id: Some(id) } = frame.header() {
            self.0.insert(id, method);
        }
    }

    /// Returns the method of a message to send; for a response, that of the request.
    pub(crate) fn method_of(&mut self, frame: &Frame) -> String {
        let method = match frame.header() {
            Header { method: Some(method), .. } => Some(method),
            Header { id: Some(id), .. } => self.0.remove(&id),
            Header { .. } => None,
        };
        method.unwrap_or_else(|| "unknown".to_owned())
    }
}
