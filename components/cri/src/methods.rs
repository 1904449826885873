//! Which message asks for what.

use crate::messages::*;

/// A request that has one answer.
pub trait Call: prost::Message + Default + Send + Sync + 'static {
    /// Path of its method.
    const PATH: &'static str;
    type Answer: prost::Message + Default + Send + Sync + 'static;
}

/// A request that is answered by a stream.
pub trait Follow: prost::Message + Default + Send + Sync + 'static {
    /// Path of its method.
    const PATH: &'static str;
    type Item: prost::Message + Default + Send + Sync + 'static;
}

macro_rules! methods {
    ($($service:ident { $($name:ident($request:ident) -> $answer:ident;)* })*) => {
        $($(impl Call for $request {
            const PATH: &'static str = concat!("/runtime.v1.", stringify!($service), "/", stringify!($name));
            type Answer = $answer;
        })*)*
    };
}

macro_rules! streams {
    ($($service:ident { $($name:ident($request:ident) -> $item:ident;)* })*) => {
        $($(impl Follow for $request {
            const PATH: &'static str = concat!("/runtime.v1.", stringify!($service), "/", stringify!($name));
            type Item = $item;
        })*)*
    };
}

methods! {
    RuntimeService {
        Version(VersionRequest) -> VersionResponse;
        RunPodSandbox(RunPodSandboxRequest) -> RunPodSandboxResponse;
        StopPodSandbox(StopPodSandboxRequest) -> StopPodSandboxResponse;
        RemovePodSandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse;
        PodSandboxStatus(PodSandboxStatusRequest) -> PodSandboxStatusResponse;
        ListPodSandbox(ListPodSandboxRequest) -> ListPodSandboxResponse;
        CreateContainer(CreateContainerRequest) -> CreateContainerResponse;
        StartContainer(StartContainerRequest) -> StartContainerResponse;
        StopContainer(StopContainerRequest) -> StopContainerResponse;
        RemoveContainer(RemoveContainerRequest) -> RemoveContainerResponse;
        ListContainers(ListContainersRequest) -> ListContainersResponse;
        ContainerStatus(ContainerStatusRequest) -> ContainerStatusResponse;
        UpdateContainerResources(UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse;
        ReopenContainerLog(ReopenContainerLogRequest) -> ReopenContainerLogResponse;
        ExecSync(ExecSyncRequest) -> ExecSyncResponse;
        Exec(ExecRequest) -> ExecResponse;
        Attach(AttachRequest) -> AttachResponse;
        PortForward(PortForwardRequest) -> PortForwardResponse;
        ContainerStats(ContainerStatsRequest) -> ContainerStatsResponse;
        ListContainerStats(ListContainerStatsRequest) -> ListContainerStatsResponse;
        PodSandboxStats(PodSandboxStatsRequest) -> PodSandboxStatsResponse;
        ListPodSandboxStats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
        UpdateRuntimeConfig(UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse;
        Status(StatusRequest) -> StatusResponse;
        CheckpointContainer(CheckpointContainerRequest) -> CheckpointContainerResponse;
        CheckpointPod(CheckpointPodRequest) -> CheckpointPodResponse;
        RestorePod(RestorePodRequest) -> RestorePodResponse;
        ListMetricDescriptors(ListMetricDescriptorsRequest) -> ListMetricDescriptorsResponse;
        ListPodSandboxMetrics(ListPodSandboxMetricsRequest) -> ListPodSandboxMetricsResponse;
        RuntimeConfig(RuntimeConfigRequest) -> RuntimeConfigResponse;
        UpdatePodSandboxResources(UpdatePodSandboxResourcesRequest) -> UpdatePodSandboxResourcesResponse;
    }
    ImageService {
        ListImages(ListImagesRequest) -> ListImagesResponse;
        ImageStatus(ImageStatusRequest) -> ImageStatusResponse;
        PullImage(PullImageRequest) -> PullImageResponse;
        RemoveImage(RemoveImageRequest) -> RemoveImageResponse;
        ImageFsInfo(ImageFsInfoRequest) -> ImageFsInfoResponse;
    }
}

streams! {
    RuntimeService {
        StreamPodSandboxes(StreamPodSandboxesRequest) -> StreamPodSandboxesResponse;
        StreamContainers(StreamContainersRequest) -> StreamContainersResponse;
        StreamContainerStats(StreamContainerStatsRequest) -> StreamContainerStatsResponse;
        StreamPodSandboxStats(StreamPodSandboxStatsRequest) -> StreamPodSandboxStatsResponse;
        GetContainerEvents(GetEventsRequest) -> ContainerEventResponse;
        StreamPodSandboxMetrics(StreamPodSandboxMetricsRequest) -> StreamPodSandboxMetricsResponse;
    }
    ImageService {
        StreamImages(StreamImagesRequest) -> StreamImagesResponse;
    }
}
