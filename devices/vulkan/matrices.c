#include "devices/vulkan/matrices.h"

// The shader's tile (make_tile in shaders/glsl/ternary.comp): weight rows, rows of activations and columns at a time; and its
// invocations. Columns go by 16 bytes, sums by four.
enum { TILE_WEIGHTS = 64, TILE_ROWS = 32, TILE_COLS = 128, TILE_THREADS = 128, LEAST_M = 4, LEAST_K = 16 };
enum { MAX_OFFERED = 128 };

static bool divides(uint32_t part, uint32_t least, uint32_t whole)
{
    return part >= least && whole % part == 0;
}

static bool usable(const struct VkCooperativeMatrixPropertiesKHR *p)
{
    return p->scope == VK_SCOPE_SUBGROUP_KHR && !p->saturatingAccumulation && p->AType == VK_COMPONENT_TYPE_SINT8_KHR &&
           p->BType == VK_COMPONENT_TYPE_SINT8_KHR && p->CType == VK_COMPONENT_TYPE_SINT32_KHR &&
           p->ResultType == VK_COMPONENT_TYPE_SINT32_KHR && divides(p->MSize, LEAST_M, TILE_WEIGHTS) &&
           divides(p->NSize, 1, TILE_ROWS) && divides(p->KSize, LEAST_K, TILE_COLS);
}

// Higher is better: first that every subgroup has something to do, then few instructions.
static uint64_t worth(const struct VkCooperativeMatrixPropertiesKHR *p, uint32_t subgroups)
{
    uint64_t parts = (TILE_WEIGHTS / p->MSize) * (TILE_ROWS / p->NSize), size = p->MSize * p->NSize * p->KSize;
    return size + (parts >= subgroups ? (uint64_t)1 << 32 : 0);
}

bool bn_vulkan_choose_shape(const struct VkCooperativeMatrixPropertiesKHR *list, uint32_t n, uint32_t subgroup_size,
                            struct matrix_shape *out)
{
    uint64_t best = 0;
    if (!divides(subgroup_size, 1, TILE_THREADS))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t value = usable(&list[i]) ? worth(&list[i], TILE_THREADS / subgroup_size) : 0;
        if (value > best) {
            best = value;
            *out = (struct matrix_shape){list[i].MSize, list[i].NSize, list[i].KSize};
        }
    }
    return best > 0;
}

bool bn_vulkan_find_shape(const struct vk *vk, VkPhysicalDevice physical, uint32_t subgroup_size,
                          struct matrix_shape *out)
{
    struct VkCooperativeMatrixPropertiesKHR list[MAX_OFFERED];
    uint32_t n = MAX_OFFERED;
    if (!vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR)
        return false;
    for (uint32_t i = 0; i < MAX_OFFERED; i++)
        list[i] =
            (struct VkCooperativeMatrixPropertiesKHR){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    return vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR(physical, &n, list) >= 0 && // VK_INCOMPLETE will do
           bn_vulkan_choose_shape(list, n, subgroup_size, out);
}
