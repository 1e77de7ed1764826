#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/vulkan/device.h"

enum { MAX_NAME = 64, MAX_SHADER_BYTES = 4 << 20 };

enum bn_result bn_vulkan_pipelines_init(struct device *device, struct bn_error *err)
{
    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, PUSH_BYTES};
    const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &range};
    VkResult native = device->vk.CreatePipelineLayout(device->logical, &info, NULL, &device->layout);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkCreatePipelineLayout");
    device->cache = bn_vulkan_cache_load(device);
    return BN_OK;
}

void bn_vulkan_pipelines_finish(struct device *device)
{
    if (device->pipelines)
        bn_vulkan_cache_save(device);
    while (device->pipelines) {
        struct pipeline *pipeline = device->pipelines;
        device->pipelines = pipeline->next;
        device->vk.DestroyPipeline(device->logical, pipeline->handle, NULL);
        bn_free(device->base.host, pipeline);
    }
    if (device->cache)
        device->vk.DestroyPipelineCache(device->logical, device->cache, NULL);
    if (device->layout)
        device->vk.DestroyPipelineLayout(device->logical, device->layout, NULL);
}

// What of BN_KERNEL_x the device runs of a kernel.
static uint32_t variants_of(const struct device *device, enum bn_kernel kernel)
{
    const struct features *features = &device->adapter.features;
    uint32_t has = (features->coopmat ? BN_KERNEL_COOPMAT : 0) | (features->int_dot ? BN_KERNEL_DOT : 0) |
                   (features->subgroup ? BN_KERNEL_SUBGROUP : 0);
    uint32_t variants = bn_kernel_infos[kernel].variants & has;
    return variants & BN_KERNEL_COOPMAT ? BN_KERNEL_COOPMAT : variants;
}

static void variant_name(enum bn_kernel kernel, uint32_t variants, char *name)
{
    snprintf(name, MAX_NAME, "%s%s%s%s", bn_kernel_infos[kernel].name, variants & BN_KERNEL_COOPMAT ? "_coopmat" : "",
             variants & BN_KERNEL_DOT ? "_dot" : "", variants & BN_KERNEL_SUBGROUP ? "_subgroup" : "");
}

// The size that the subgroups of a kernel must have; 0: any. Cooperative matrices were chosen for the device's own.
static uint32_t required_size(const struct device *device, uint32_t variants, uint32_t threads)
{
    const struct adapter *adapter = &device->adapter;
    if (!adapter->features.full || !(variants & (BN_KERNEL_SUBGROUP | BN_KERNEL_COOPMAT)))
        return 0;
    uint32_t wanted =
        variants & BN_KERNEL_COOPMAT ? adapter->subgroups.own : bn_vulkan_usual_subgroup(adapter->properties.vendorID);
    return bn_vulkan_subgroup_size(&adapter->subgroups, wanted, threads);
}

// A shader that its author works on: NAME.spv of the folder instead of the embedded one. NULL if there is none.
static uint32_t *read_override(const struct device *device, const char *name, size_t *bytes)
{
    char path[sizeof(device->shaders) + MAX_NAME + 8];
    if (!device->shaders[0])
        return NULL;
    snprintf(path, sizeof(path), "%s/%s.spv", device->shaders, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct stat st;
    uint32_t *words = NULL;
    if (fstat(fd, &st) == 0 && st.st_size >= 20 && st.st_size <= MAX_SHADER_BYTES && st.st_size % 4 == 0)
        words = bn_alloc(device->base.host, (size_t)st.st_size);
    if (words && read(fd, words, (size_t)st.st_size) == st.st_size && words[0] == 0x07230203) {
        *bytes = (size_t)st.st_size;
        bn_log(device->base.host, BN_LOG_INFO, "vulkan: shader %s from %s", name, path);
    } else {
        bn_log(device->base.host, BN_LOG_WARNING, "vulkan: %s is not SPIR-V; the embedded shader is used", path);
        bn_free(device->base.host, words);
        words = NULL;
    }
    close(fd);
    return words;
}

static enum bn_result compile(struct device *device, struct pipeline *pipeline, struct bn_error *err)
{
    char name[MAX_NAME];
    uint32_t variants = variants_of(device, pipeline->kernel);
    variant_name(pipeline->kernel, variants, name);
    const struct spirv *embedded = bn_vulkan_spirv(name);
    if (!embedded)
        return bn_fail_at(err, BN_ERR_INTERNAL, NULL, name, UINT64_MAX, "no such shader was embedded");
    size_t bytes = embedded->bytes;
    uint32_t *override = read_override(device, name, &bytes);
    const VkShaderModuleCreateInfo module_info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                  .codeSize = bytes,
                                                  .pCode = override ? override : embedded->words};
    VkShaderModule module = VK_NULL_HANDLE;
    VkResult native = device->vk.CreateShaderModule(device->logical, &module_info, NULL, &module);
    bn_free(device->base.host, override);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, name);
    // Behind the kernel's constants, what the device's matrices are like.
    const struct adapter *adapter = &device->adapter;
    uint32_t values[BN_MAX_CONSTANTS + 4] = {
        [BN_MAX_CONSTANTS] = adapter->matrix.m, adapter->matrix.n, adapter->matrix.k, adapter->subgroups.own};
    memcpy(values, pipeline->constants, sizeof(pipeline->constants));
    uint32_t n = BN_MAX_CONSTANTS + (adapter->features.coopmat ? 4 : 0);
    VkSpecializationMapEntry entries[BN_MAX_CONSTANTS + 4];
    for (uint32_t i = 0; i < n; i++)
        entries[i] = (VkSpecializationMapEntry){i, i * sizeof(uint32_t), sizeof(uint32_t)};
    const VkSpecializationInfo constants = {n, entries, n * sizeof(uint32_t), values};
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = required_size(device, variants, pipeline->constants[0]),
    };
    bool full = size.requiredSubgroupSize != 0;
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = full ? &size : NULL,
                  .flags = full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = device->layout,
    };
    native = device->vk.CreateComputePipelines(device->logical, device->cache, 1, &info, NULL, &pipeline->handle);
    device->vk.DestroyShaderModule(device->logical, module, NULL);
    return native == VK_SUCCESS ? BN_OK : bn_vulkan_fail(device, err, native, name);
}

enum bn_result bn_vulkan_pipeline(struct device *device, enum bn_kernel kernel, const uint32_t *constants,
                                  VkPipeline *out, struct bn_error *err)
{
    for (const struct pipeline *pipeline = device->pipelines; pipeline; pipeline = pipeline->next)
        if (pipeline->kernel == kernel && memcmp(pipeline->constants, constants, sizeof(pipeline->constants)) == 0) {
            *out = pipeline->handle;
            return BN_OK;
        }
    struct pipeline *pipeline = bn_alloc(device->base.host, sizeof(*pipeline));
    if (!pipeline)
        return bn_fail_memory(err, sizeof(*pipeline), "a pipeline");
    pipeline->kernel = kernel;
    memcpy(pipeline->constants, constants, sizeof(pipeline->constants));
    enum bn_result result = compile(device, pipeline, err);
    if (result != BN_OK) {
        bn_free(device->base.host, pipeline);
        return result;
    }
    pipeline->next = device->pipelines;
    device->pipelines = pipeline;
    *out = pipeline->handle;
    return BN_OK;
}
