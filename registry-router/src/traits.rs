//! Implementations of the traits in [`registry_core::api`] for [`Registry`], each by its inherent method.

use std::time::Duration;

use registry_core::api::{Await, Bindings, Directory, Observe, Register, Route};
use registry_core::{
    AsId, AwaitError, Backend, BindError, BroadcastReport, ContentionStatus, Entry, EntryInfo, EntryRef, InvalidId,
    MailboxFamily, Metadata, Probe, RegisterError, RouteError, Select, ServerId, ShardStats, TransportId,
};

use crate::lifecycle::lease::{ServerLease, TransportLease};
use crate::registry::{Registry, ServerMailbox, TransportMailbox};

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Directory for Registry<M, B, X, P> {
    type ServerMailbox = ServerMailbox<M, X>;
    type TransportMailbox = TransportMailbox<M, X>;

    #[inline]
    fn with_server<R>(
        &self,
        id: impl AsId<ServerId>,
        read: impl FnOnce(EntryRef<'_, ServerId, Self::ServerMailbox>) -> R,
    ) -> Option<R> {
        self.with_server(id, read)
    }

    #[inline]
    fn with_transport<R>(
        &self,
        id: impl AsId<TransportId>,
        read: impl FnOnce(EntryRef<'_, TransportId, Self::TransportMailbox>) -> R,
    ) -> Option<R> {
        self.with_transport(id, read)
    }

    fn select_servers(&self, select: Select<'_>) -> Vec<EntryInfo<ServerId>> {
        self.select_servers(select)
    }

    fn select_transports(&self, select: Select<'_>) -> Vec<EntryInfo<TransportId>> {
        self.select_transports(select)
    }

    fn server_count(&self) -> usize {
        self.server_count()
    }

    fn transport_count(&self) -> usize {
        self.transport_count()
    }
}

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Bindings for Registry<M, B, X, P> {
    fn bind_transport_to_server(
        &self,
        transport: impl AsId<TransportId>,
        server: impl AsId<ServerId>,
    ) -> Result<(), BindError> {
        self.bind_transport_to_server(transport, server)
    }

    fn unbind_transport(&self, transport: impl AsId<TransportId>) -> bool {
        self.unbind_transport(transport)
    }

    fn server_for_transport(&self, transport: impl AsId<TransportId>) -> Option<ServerId> {
        self.server_for_transport(transport)
    }

    fn transports_of(&self, server: impl AsId<ServerId>) -> Vec<TransportId> {
        self.transports_of(server)
    }
}

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Route<M> for Registry<M, B, X, P> {
    #[inline]
    fn route_to_server(
        &self,
        server: impl AsId<ServerId>,
        from: &TransportId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.route_to_server(server, from, message)
    }

    #[inline]
    fn route_to_transport(
        &self,
        transport: impl AsId<TransportId>,
        from: &ServerId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.route_to_transport(transport, from, message)
    }

    fn broadcast(&self, server: impl AsId<ServerId>, message: M) -> BroadcastReport
    where
        M: Clone,
    {
        self.broadcast(server, message)
    }
}

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Register for Registry<M, B, X, P> {
    type ServerLease = ServerLease;
    type TransportLease = TransportLease;

    fn register_server<I>(
        &self,
        id: I,
        mailbox: Self::ServerMailbox,
        metadata: impl Into<Metadata>,
    ) -> Result<ServerLease, RegisterError<Self::ServerMailbox>>
    where
        I: TryInto<ServerId>,
        I::Error: Into<InvalidId>,
    {
        self.register_server(id, mailbox, metadata)
    }

    fn register_transport<I>(
        &self,
        id: I,
        mailbox: Self::TransportMailbox,
        metadata: impl Into<Metadata>,
    ) -> Result<TransportLease, RegisterError<Self::TransportMailbox>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>,
    {
        self.register_transport(id, mailbox, metadata)
    }

    fn register_transport_bound_to<I>(
        &self,
        id: I,
        mailbox: Self::TransportMailbox,
        metadata: impl Into<Metadata>,
        server: impl AsId<ServerId>,
    ) -> Result<TransportLease, RegisterError<Self::TransportMailbox>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>,
    {
        self.register_transport_bound_to(id, mailbox, metadata, server)
    }

    fn unregister_server(&self, id: impl AsId<ServerId>) -> bool {
        self.unregister_server(id)
    }

    fn unregister_transport(&self, id: impl AsId<TransportId>) -> bool {
        self.unregister_transport(id)
    }
}

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Await for Registry<M, B, X, P> {
    async fn await_server<I>(
        &self,
        id: I,
        limit: Option<Duration>,
    ) -> Result<Entry<ServerId, Self::ServerMailbox>, AwaitError>
    where
        I: TryInto<ServerId> + Send,
        I::Error: Into<InvalidId>,
    {
        self.await_server(id, limit).await
    }

    async fn await_transport<I>(
        &self,
        id: I,
        limit: Option<Duration>,
    ) -> Result<Entry<TransportId, Self::TransportMailbox>, AwaitError>
    where
        I: TryInto<TransportId> + Send,
        I::Error: Into<InvalidId>,
    {
        self.await_transport(id, limit).await
    }
}

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Observe for Registry<M, B, X, P> {
    fn shard_stats(&self, shard: usize) -> Option<ShardStats> {
        self.shard_stats(shard)
    }

    fn all_shard_stats(&self) -> Vec<ShardStats> {
        self.all_shard_stats()
    }

    fn reset_stats(&self) {
        self.reset_stats();
    }

    fn contention_status(&self) -> ContentionStatus {
        self.contention_status()
    }

    fn shard_count(&self) -> usize {
        self.shard_count()
    }

    fn shard_of(&self, id: impl AsRef<[u8]>) -> usize {
        self.shard_of(id)
    }
}
