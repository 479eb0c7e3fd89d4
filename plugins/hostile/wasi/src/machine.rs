//! What a guest finds of the machine that it runs on.

use wasip2::cli::{environment, stdin};
use wasip2::filesystem::preopens;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};

/// One line for each door.
pub(crate) fn found() -> String {
    let network = instance_network::instance_network();
    let lookup = ip_name_lookup::resolve_addresses(&network, "localhost");
    let lines = [
        format!("environment {:?}", environment::get_environment()),
        format!("arguments {:?}", environment::get_arguments()),
        format!("folder {:?}", environment::initial_cwd()),
        format!("files {}", preopens::get_directories().len()),
        format!("input {:?}", stdin::get_stdin().read(10).map_err(|error| format!("{error:?}"))),
        format!("name {}", lookup.map_or_else(|error| format!("{error:?}"), |_| "resolved".to_owned())),
        format!("tcp {}", tcp(&network)),
        format!("udp {}", udp(&network)),
    ];
    lines.join("\n")
}

fn loopback(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

fn tcp(network: &instance_network::Network) -> String {
    let socket = match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
        Ok(socket) => socket,
        Err(error) => return format!("{error:?}"),
    };
    let connected = socket.start_connect(network, loopback(25)).map(|()| {
        loop {
            match socket.finish_connect() {
                Err(error) if format!("{error:?}").contains("WouldBlock") => socket.subscribe().block(),
                other => return other.map(drop),
            }
        }
    });
    format!("{connected:?}")
}

fn udp(network: &instance_network::Network) -> String {
    let socket = match udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4) {
        Ok(socket) => socket,
        Err(error) => return format!("{error:?}"),
    };
    format!("{:?}", socket.start_bind(network, loopback(0)))
}
