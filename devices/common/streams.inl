// The functions of CUDA's driver library and of HIP's that the drivers call; HIP has them under names of its own. All return 0 or
// an error number, and the numbers are the same. Handles are pointers, devices are ints, memory is a 64-bit address.
//
// STREAMS(need, member, parameters, name in CUDA, name in HIP). NULL: that library has no such function, or does not need it.
STREAMS(REQUIRED, init, (unsigned flags), "cuInit", "hipInit")
STREAMS(REQUIRED, version, (int *version), "cuDriverGetVersion", "hipRuntimeGetVersion")
STREAMS(REQUIRED, count, (int *count), "cuDeviceGetCount", "hipGetDeviceCount")
STREAMS(REQUIRED, get, (int *device, int index), "cuDeviceGet", "hipDeviceGet")
STREAMS(REQUIRED, name, (char *name, int size, int device), "cuDeviceGetName", "hipDeviceGetName")
STREAMS(REQUIRED, bus_id, (char *address, int size, int device), "cuDeviceGetPCIBusId", "hipDeviceGetPCIBusId")
STREAMS(REQUIRED, total, (size_t *bytes, int device), "cuDeviceTotalMem_v2", "hipDeviceTotalMem")
STREAMS(REQUIRED, attribute, (int *value, int attribute, int device), "cuDeviceGetAttribute", "hipDeviceGetAttribute")
STREAMS(OPTIONAL, uuid, (uint8_t *uuid, int device), "cuDeviceGetUuid_v2", "hipDeviceGetUuid")
STREAMS(OPTIONAL, properties, (void *properties, int device), NULL, "hipGetDevicePropertiesR0600")
STREAMS(OPTIONAL, old_properties, (void *properties, int device), NULL, "hipGetDeviceProperties")
// A thread has a current context, or device: the caller's is put back.
STREAMS(REQUIRED, context_retain, (void **context, int device), "cuDevicePrimaryCtxRetain", NULL)
STREAMS(REQUIRED, context_release, (int device), "cuDevicePrimaryCtxRelease_v2", NULL)
STREAMS(REQUIRED, context_push, (void *context), "cuCtxPushCurrent_v2", NULL)
STREAMS(REQUIRED, context_pop, (void **context), "cuCtxPopCurrent_v2", NULL)
STREAMS(REQUIRED, device_set, (int device), NULL, "hipSetDevice")
STREAMS(REQUIRED, device_get, (int *device), NULL, "hipGetDevice")
STREAMS(REQUIRED, memory_info, (size_t *left, size_t *total), "cuMemGetInfo_v2", "hipMemGetInfo")
STREAMS(REQUIRED, alloc, (uint64_t *address, size_t bytes), "cuMemAlloc_v2", "hipMalloc")
STREAMS(REQUIRED, free, (uint64_t address), "cuMemFree_v2", "hipFree")
STREAMS(REQUIRED, host_alloc, (void **memory, size_t bytes, unsigned flags), "cuMemHostAlloc", "hipHostMalloc")
STREAMS(REQUIRED, host_free, (void *memory), "cuMemFreeHost", "hipHostFree")
STREAMS(REQUIRED, host_address, (uint64_t *address, void *memory, unsigned flags), "cuMemHostGetDevicePointer_v2",
        "hipHostGetDevicePointer")
STREAMS(OPTIONAL, host_register, (void *memory, size_t bytes, unsigned flags), "cuMemHostRegister_v2",
        "hipHostRegister")
STREAMS(OPTIONAL, host_unregister, (void *memory), "cuMemHostUnregister", "hipHostUnregister")
STREAMS(REQUIRED, copy_in, (uint64_t to, const void *from, size_t bytes, void *stream), "cuMemcpyHtoDAsync_v2",
        "hipMemcpyHtoDAsync")
STREAMS(REQUIRED, fill, (uint64_t to, unsigned char value, size_t bytes, void *stream), "cuMemsetD8Async",
        "hipMemsetD8Async")
STREAMS(REQUIRED, stream_create, (void **stream, unsigned flags), "cuStreamCreate", "hipStreamCreateWithFlags")
STREAMS(REQUIRED, stream_destroy, (void *stream), "cuStreamDestroy_v2", "hipStreamDestroy")
STREAMS(REQUIRED, stream_query, (void *stream), "cuStreamQuery", "hipStreamQuery")
STREAMS(REQUIRED, stream_wait, (void *stream), "cuStreamSynchronize", "hipStreamSynchronize")
STREAMS(OPTIONAL, stream_write, (void *stream, uint64_t address, uint32_t value, unsigned flags),
        "cuStreamWriteValue32_v2", "hipStreamWriteValue32")
STREAMS(REQUIRED, event_create, (void **event, unsigned flags), "cuEventCreate", "hipEventCreateWithFlags")
STREAMS(REQUIRED, event_destroy, (void *event), "cuEventDestroy_v2", "hipEventDestroy")
STREAMS(REQUIRED, event_record, (void *event, void *stream), "cuEventRecord", "hipEventRecord")
STREAMS(REQUIRED, event_query, (void *event), "cuEventQuery", "hipEventQuery")
STREAMS(REQUIRED, event_wait, (void *event), "cuEventSynchronize", "hipEventSynchronize")
STREAMS(REQUIRED, module_load, (void **module, const void *image, unsigned n, int *options, void **values),
        "cuModuleLoadDataEx", "hipModuleLoadDataEx")
STREAMS(REQUIRED, module_unload, (void *module), "cuModuleUnload", "hipModuleUnload")
STREAMS(REQUIRED, module_function, (void **function, void *module, const char *name), "cuModuleGetFunction",
        "hipModuleGetFunction")
STREAMS(REQUIRED, launch,
        (void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
         void *stream, void **parameters, void **extra),
        "cuLaunchKernel", "hipModuleLaunchKernel")
STREAMS(OPTIONAL, capture_begin, (void *stream, int mode), "cuStreamBeginCapture_v2", "hipStreamBeginCapture")
STREAMS(OPTIONAL, capture_end, (void *stream, void **graph), "cuStreamEndCapture", "hipStreamEndCapture")
STREAMS(OPTIONAL, graph_instantiate, (void **exec, void *graph, unsigned long long flags),
        "cuGraphInstantiateWithFlags", "hipGraphInstantiateWithFlags")
STREAMS(OPTIONAL, graph_launch, (void *exec, void *stream), "cuGraphLaunch", "hipGraphLaunch")
STREAMS(OPTIONAL, graph_destroy, (void *graph), "cuGraphDestroy", "hipGraphDestroy")
STREAMS(OPTIONAL, exec_destroy, (void *exec), "cuGraphExecDestroy", "hipGraphExecDestroy")
#undef STREAMS
