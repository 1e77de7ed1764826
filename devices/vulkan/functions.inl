// The functions of Vulkan that the driver calls. LEVEL(name): without the prefix vk. Those marked OPTIONAL may be missing.
#ifdef VK_GLOBAL
VK_GLOBAL(CreateInstance)
VK_GLOBAL(EnumerateInstanceVersion)
#endif
#ifdef VK_INSTANCE
VK_INSTANCE(DestroyInstance)
VK_INSTANCE(EnumeratePhysicalDevices)
VK_INSTANCE(GetPhysicalDeviceProperties2)
VK_INSTANCE(GetPhysicalDeviceFeatures2)
VK_INSTANCE(GetPhysicalDeviceQueueFamilyProperties)
VK_INSTANCE(GetPhysicalDeviceMemoryProperties2)
VK_INSTANCE(EnumerateDeviceExtensionProperties)
VK_INSTANCE(CreateDevice)
VK_INSTANCE(GetDeviceProcAddr)
#endif
#ifdef VK_INSTANCE_OPTIONAL
VK_INSTANCE_OPTIONAL(GetPhysicalDeviceCooperativeMatrixPropertiesKHR)
#endif
#ifdef VK_DEVICE
VK_DEVICE(DestroyDevice)
VK_DEVICE(DeviceWaitIdle)
VK_DEVICE(GetDeviceQueue)
VK_DEVICE(AllocateMemory)
VK_DEVICE(FreeMemory)
VK_DEVICE(MapMemory)
VK_DEVICE(CreateBuffer)
VK_DEVICE(DestroyBuffer)
VK_DEVICE(GetBufferMemoryRequirements)
VK_DEVICE(BindBufferMemory)
VK_DEVICE(GetBufferDeviceAddress)
VK_DEVICE(CreateShaderModule)
VK_DEVICE(DestroyShaderModule)
VK_DEVICE(CreatePipelineLayout)
VK_DEVICE(DestroyPipelineLayout)
VK_DEVICE(CreateComputePipelines)
VK_DEVICE(DestroyPipeline)
VK_DEVICE(CreatePipelineCache)
VK_DEVICE(DestroyPipelineCache)
VK_DEVICE(GetPipelineCacheData)
VK_DEVICE(CreateCommandPool)
VK_DEVICE(DestroyCommandPool)
VK_DEVICE(AllocateCommandBuffers)
VK_DEVICE(FreeCommandBuffers)
VK_DEVICE(BeginCommandBuffer)
VK_DEVICE(EndCommandBuffer)
VK_DEVICE(CmdBindPipeline)
VK_DEVICE(CmdPushConstants)
VK_DEVICE(CmdDispatch)
VK_DEVICE(CmdPipelineBarrier)
VK_DEVICE(CmdResetQueryPool)
VK_DEVICE(CmdWriteTimestamp)
VK_DEVICE(CreateQueryPool)
VK_DEVICE(DestroyQueryPool)
VK_DEVICE(GetQueryPoolResults)
VK_DEVICE(CmdFillBuffer)
VK_DEVICE(CmdCopyBuffer)
VK_DEVICE(QueueSubmit)
VK_DEVICE(CreateSemaphore)
VK_DEVICE(DestroySemaphore)
VK_DEVICE(CreateFence)
VK_DEVICE(DestroyFence)
VK_DEVICE(GetFenceStatus)
VK_DEVICE(ResetFences)
VK_DEVICE(WaitForFences)
#endif
#ifdef VK_OPTIONAL
VK_OPTIONAL(GetSemaphoreCounterValue)
VK_OPTIONAL(WaitSemaphores)
VK_OPTIONAL(GetMemoryHostPointerPropertiesEXT)
#endif
#undef VK_GLOBAL
#undef VK_INSTANCE
#undef VK_INSTANCE_OPTIONAL
#undef VK_DEVICE
#undef VK_OPTIONAL
