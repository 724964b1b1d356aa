//! Fakes of the services that Weir talks to, a writer of address databases, and what runs the binary. Everything runs in
//! the test's process and listens on loopback only.

pub mod cloudwatch;
pub mod elasticsearch;
pub mod fault_proxy;
pub mod gate;
pub mod http_client;
pub mod http_server;
pub mod invariants;
#[path = "../../../host/src/address_database.rs"]
pub mod mmdb;
pub mod random;
pub mod servers;
pub mod sigv4;
pub mod sigv4_proxy;
pub mod weir;

pub use cloudwatch::FakeCloudWatch;
pub use elasticsearch::FakeElasticsearch;
pub use fault_proxy::FaultProxy;
pub use gate::Gate;
pub use invariants::Broken;
pub use random::Random;
pub use servers::Server;
pub use sigv4_proxy::SigV4Proxy;
pub use weir::Setting;
