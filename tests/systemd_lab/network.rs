//! The way out: names are looked up and foreign addresses reached from inside the sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use wasessiond::protocol::Phase;

use crate::lab::Lab;
use crate::stage::{PHONE, Stage};

/// Answers every question for an IPv4 address with loopback, and all others with nothing.
async fn name_server(socket: UdpSocket, asked: Arc<AtomicUsize>) {
    let mut packet = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut packet).await.expect("a question");
        let question = &packet[..length];
        // A header of twelve bytes, the name, which ends with an empty label, the type and the class.
        let name = question[12..].iter().position(|b| *b == 0).expect("a name");
        let end = 12 + name + 5;
        let wants_address = question[end - 4..end - 2] == [0, 1];
        asked.fetch_add(1, Ordering::Relaxed);
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(wants_address), 0, 0, 0, 0]);
        answer.extend(&question[12..end]);
        if wants_address {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(Ipv4Addr::LOCALHOST.octets());
        }
        socket.send_to(&answer, from).await.expect("an answer");
    }
}

/// An HTTP proxy that tunnels.
async fn proxy(listener: TcpListener) {
    loop {
        let (client, _) = listener.accept().await.expect("a client");
        tokio::spawn(async move {
            let mut client = BufReader::new(client);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if client.read_line(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let target = head.split(' ').nth(1).expect("a target").to_owned();
            let mut server = TcpStream::connect(target).await.expect("the simulator");
            client
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .await
                .expect("a tunnel");
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

#[tokio::test]
async fn names_are_looked_up_and_connections_made_from_inside_the_sandbox() {
    let Some(lab) = Lab::boot() else { return };
    lab.join_network();
    let server = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 53], 53)))
        .await
        .expect("port 53");
    let asked = Arc::new(AtomicUsize::new(0));
    tokio::spawn(name_server(server, Arc::clone(&asked)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(proxy(listener));
    lab.write("/etc/resolv.conf", "nameserver 127.0.0.53\n");

    let through_it = format!("proxy = \"http://proxy.test:{port}\"");
    let mut stage = Stage::with(lab, "", &through_it).await;
    stage.pair("alice", PHONE).await;
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.phase, Phase::Online);
    assert!(asked.load(Ordering::Relaxed) > 0, "no name was looked up");
}
