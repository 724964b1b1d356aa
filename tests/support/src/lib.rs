//! Fakes of the services that Weir talks to, and a writer of address databases. Everything runs in the test's process
//! and listens on loopback only.

pub mod cloudwatch;
pub mod elasticsearch;
pub mod gate;
pub mod http_client;
pub mod http_server;
pub mod mmdb;
pub mod servers;
pub mod sigv4;
pub mod sigv4_proxy;

pub use cloudwatch::FakeCloudWatch;
pub use elasticsearch::FakeElasticsearch;
pub use gate::Gate;
pub use servers::Server;
pub use sigv4_proxy::SigV4Proxy;
