//! The gRPC methods this server knows, resolved from the request path once per header-table entry.

/// How a method's messages flow, as far as the transport must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// One request message, one answer.
    Unary,
    /// One request message, a stream of answers.
    ServerStream,
    /// Messages both ways.
    Bidi,
}

macro_rules! routes {
    ($($variant:ident $service:literal $method:literal $flow:ident,)*) => {
        /// A known gRPC method.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Route { $($variant,)* }

        impl Route {
            pub(crate) const ALL: &'static [Route] = &[$(Route::$variant,)*];

            fn path(self) -> &'static str {
                match self { $(Route::$variant => concat!("/", $service, "/", $method),)* }
            }

            /// Package-qualified service name, as metrics label it.
            pub(crate) fn service(self) -> &'static str {
                match self { $(Route::$variant => $service,)* }
            }

            pub(crate) fn method(self) -> &'static str {
                match self { $(Route::$variant => $method,)* }
            }

            pub(crate) fn flow(self) -> Flow {
                match self { $(Route::$variant => Flow::$flow,)* }
            }
        }
    };
}

routes! {
    Range "etcdserverpb.KV" "Range" Unary,
    RangeStream "etcdserverpb.KV" "RangeStream" ServerStream,
    Put "etcdserverpb.KV" "Put" Unary,
    DeleteRange "etcdserverpb.KV" "DeleteRange" Unary,
    Txn "etcdserverpb.KV" "Txn" Unary,
    Compact "etcdserverpb.KV" "Compact" Unary,
    Watch "etcdserverpb.Watch" "Watch" Bidi,
    LeaseGrant "etcdserverpb.Lease" "LeaseGrant" Unary,
    LeaseRevoke "etcdserverpb.Lease" "LeaseRevoke" Unary,
    LeaseKeepAlive "etcdserverpb.Lease" "LeaseKeepAlive" Bidi,
    LeaseTimeToLive "etcdserverpb.Lease" "LeaseTimeToLive" Unary,
    LeaseLeases "etcdserverpb.Lease" "LeaseLeases" Unary,
    MemberAdd "etcdserverpb.Cluster" "MemberAdd" Unary,
    MemberRemove "etcdserverpb.Cluster" "MemberRemove" Unary,
    MemberUpdate "etcdserverpb.Cluster" "MemberUpdate" Unary,
    MemberList "etcdserverpb.Cluster" "MemberList" Unary,
    MemberPromote "etcdserverpb.Cluster" "MemberPromote" Unary,
    Alarm "etcdserverpb.Maintenance" "Alarm" Unary,
    Status "etcdserverpb.Maintenance" "Status" Unary,
    Defragment "etcdserverpb.Maintenance" "Defragment" Unary,
    Hash "etcdserverpb.Maintenance" "Hash" Unary,
    HashKv "etcdserverpb.Maintenance" "HashKV" Unary,
    Snapshot "etcdserverpb.Maintenance" "Snapshot" ServerStream,
    MoveLeader "etcdserverpb.Maintenance" "MoveLeader" Unary,
    Downgrade "etcdserverpb.Maintenance" "Downgrade" Unary,
    AuthEnable "etcdserverpb.Auth" "AuthEnable" Unary,
    AuthDisable "etcdserverpb.Auth" "AuthDisable" Unary,
    AuthStatus "etcdserverpb.Auth" "AuthStatus" Unary,
    Authenticate "etcdserverpb.Auth" "Authenticate" Unary,
    UserAdd "etcdserverpb.Auth" "UserAdd" Unary,
    UserGet "etcdserverpb.Auth" "UserGet" Unary,
    UserList "etcdserverpb.Auth" "UserList" Unary,
    UserDelete "etcdserverpb.Auth" "UserDelete" Unary,
    UserChangePassword "etcdserverpb.Auth" "UserChangePassword" Unary,
    UserGrantRole "etcdserverpb.Auth" "UserGrantRole" Unary,
    UserRevokeRole "etcdserverpb.Auth" "UserRevokeRole" Unary,
    RoleAdd "etcdserverpb.Auth" "RoleAdd" Unary,
    RoleGet "etcdserverpb.Auth" "RoleGet" Unary,
    RoleList "etcdserverpb.Auth" "RoleList" Unary,
    RoleDelete "etcdserverpb.Auth" "RoleDelete" Unary,
    RoleGrantPermission "etcdserverpb.Auth" "RoleGrantPermission" Unary,
    RoleRevokePermission "etcdserverpb.Auth" "RoleRevokePermission" Unary,
    MutexLock "v3lockpb.Lock" "Lock" Unary,
    MutexUnlock "v3lockpb.Lock" "Unlock" Unary,
    ElectionCampaign "v3electionpb.Election" "Campaign" Unary,
    ElectionProclaim "v3electionpb.Election" "Proclaim" Unary,
    ElectionLeader "v3electionpb.Election" "Leader" Unary,
    ElectionObserve "v3electionpb.Election" "Observe" ServerStream,
    ElectionResign "v3electionpb.Election" "Resign" Unary,
    HealthCheck "grpc.health.v1.Health" "Check" Unary,
    HealthWatch "grpc.health.v1.Health" "Watch" ServerStream,
}

impl Route {
    /// Resolves `/service/method`.
    pub(crate) fn parse(path: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|route| route.path().as_bytes() == path)
    }

    /// Position in [`Route::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// What grpc-go answers for a path that names no known method: all of them are `Unimplemented`.
pub(crate) fn unknown_text(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let trimmed = path.strip_prefix('/').unwrap_or(&path);
    let Some((service, method)) = trimmed.rsplit_once('/') else {
        return format!("malformed method name: {path:?}");
    };
    if Route::ALL.iter().any(|route| route.service() == service) {
        format!("unknown method {method} for service {service}")
    } else {
        format!("unknown service {service}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_parses_back() {
        for (index, route) in Route::ALL.iter().enumerate() {
            assert_eq!(Route::parse(route.path().as_bytes()), Some(*route));
            assert_eq!(route.index(), index);
        }
        assert_eq!(Route::ALL.len(), 51);
    }

    #[test]
    fn unknown_paths_get_the_texts_of_grpc_go() {
        assert_eq!(
            unknown_text(b"/etcdserverpb.KV/Nope"),
            "unknown method Nope for service etcdserverpb.KV"
        );
        assert_eq!(unknown_text(b"/a.B/C"), "unknown service a.B");
        assert_eq!(unknown_text(b"nope"), "malformed method name: \"nope\"");
    }
}
