//! Asking the kernel for one TCP socket by its addresses: netlink's sock_diag, or the table in `/proc` where that is not
//! permitted. The table takes milliseconds to tens of them on a machine with thousands of sockets.

use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddrV4;
use std::time::Duration;

const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
const ENOENT: i32 = 2;
/// `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = 56;
/// Of `idiag_inode` in `struct inet_diag_msg`, which it ends.
const INODE_AT: usize = HEADER_BYTES + 68;
/// The kernel answers before the request returns; this only guards against never.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);

/// The inode of the socket whose own end is `local` and whose other end is `remote`; none if no process has it open.
pub(super) fn inode(local: SocketAddrV4, remote: SocketAddrV4) -> Option<u32> {
    let found = ask(local, remote).unwrap_or_else(|_| search(local, remote));
    // Closed by its process, but not by the kernel yet.
    found.filter(|inode| *inode != 0)
}

/// An error means that the kernel does not answer such questions.
fn ask(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<Option<u32>> {
    let protocol = Protocol::from(NETLINK_SOCK_DIAG);
    let mut socket = Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
    socket.write_all(&request(local, remote))?;
    let mut answer = [0; 1_024];
    let bytes = socket.read(&mut answer)?;
    parse(&answer[..bytes])
}

fn request(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + REQUEST_BYTES);
    let length = (HEADER_BYTES + REQUEST_BYTES) as u32;
    bytes.extend(length.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port: there is one answer, and it comes to us.
    bytes.extend([0; 8]);
    bytes.extend([AF_INET, IPPROTO_TCP, 0, 0]);
    // All states.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(remote.port().to_be_bytes());
    for address in [local, remote] {
        bytes.extend(address.ip().octets());
        bytes.extend([0; 12]);
    }
    // Any interface, any cookie.
    bytes.extend([0; 4]);
    bytes.extend([0xff; 8]);
    bytes
}

fn parse(answer: &[u8]) -> io::Result<Option<u32>> {
    let strange = || io::Error::from(io::ErrorKind::InvalidData);
    let field = |at: usize| {
        answer
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .ok_or_else(strange)
    };
    let kind = u16::from_ne_bytes([
        *answer.get(4).ok_or_else(strange)?,
        *answer.get(5).ok_or_else(strange)?,
    ]);
    match kind {
        SOCK_DIAG_BY_FAMILY => Ok(Some(u32::from_ne_bytes(field(INODE_AT)?))),
        NLMSG_ERROR => match i32::from_ne_bytes(field(HEADER_BYTES)?).wrapping_neg() {
            ENOENT => Ok(None),
            errno => Err(io::Error::from_raw_os_error(errno)),
        },
        _ => Err(strange()),
    }
}

/// The same from the table of all sockets.
fn search(local: SocketAddrV4, remote: SocketAddrV4) -> Option<u32> {
    let table = fs::read_to_string("/proc/self/net/tcp").ok()?;
    let (local, remote) = (hex(local), hex(remote));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let same = fields.next()? == local && fields.next()? == remote;
        // State, queues, timer, retransmits, user, timeout come before it.
        if same {
            fields.nth(6)?.parse().ok()
        } else {
            None
        }
    })
}

/// An address as the kernel's table writes it: the 32-bit number in the machine's byte order.
fn hex(address: SocketAddrV4) -> String {
    format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(address.ip().octets()),
        address.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        let SocketAddr::V4(address) = address else {
            panic!("not IPv4")
        };
        address
    }

    #[test]
    fn both_ways_find_the_same_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = v4(listener.local_addr().unwrap());
        let stream = TcpStream::connect(listen).unwrap();
        let local = v4(stream.local_addr().unwrap());
        let inode = inode(local, listen).unwrap();
        assert_eq!(search(local, listen), Some(inode));
        if let Ok(answer) = ask(local, listen) {
            assert_eq!(answer, Some(inode));
            let nobody = SocketAddrV4::new(*local.ip(), 1);
            assert_eq!(ask(nobody, listen).unwrap(), None);
        }
    }

    #[test]
    fn strange_answers_are_errors() {
        for length in 0..HEADER_BYTES {
            assert!(parse(&vec![0; length]).is_err());
        }
    }
}
