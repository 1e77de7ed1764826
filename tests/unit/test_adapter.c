// What the Vulkan driver chooses from what a device says: families of queues, and the size of subgroups; and what its shaders ask
// of every device.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/common/kernels.h"
#include "devices/vulkan/adapter.h"
#include "devices/vulkan/shaders.h"

enum {
    G = VK_QUEUE_GRAPHICS_BIT,
    C = VK_QUEUE_COMPUTE_BIT,
    T = VK_QUEUE_TRANSFER_BIT,
    S = VK_QUEUE_SPARSE_BINDING_BIT,
    VIDEO = 0x20, // VK_QUEUE_VIDEO_DECODE_BIT_KHR, which older headers lack
    FLOW = 0x100, // VK_QUEUE_OPTICAL_FLOW_BIT_NV
    NONE = -1
};

START_TEST(families)
{
    static const struct {
        const char *like;
        VkQueueFlags flags[6];
        uint32_t n;
        int compute, transfer;
    } table[] = {
        {"NVIDIA", {G | C | T | S, T | S, C | T | S, VIDEO | T | S, VIDEO | T | S, FLOW | T | S}, 6, 2, 1},
        {"AMD", {G | C | T | S, C | T | S, VIDEO, S}, 4, 1, 1},
        {"AMD with its transfers", {G | C | T | S, C | T | S, T | S}, 3, 1, 2},
        {"Intel", {G | C | T | S, C | T | S, T | S, VIDEO | T}, 4, 1, 2},
        {"Mali", {G | C | T}, 1, 0, 0},
        {"software", {G | C | T}, 1, 0, 0},
        {"two for compute", {C | T, C | T, G | C | T}, 3, 0, 0},
        {"graphics last", {C | T, G | C | T}, 2, 0, 0},
        {"transfers first", {T, G | C | T}, 2, 1, 0},
        {"no compute", {G | T, T}, 2, NONE, 1},
        {"nothing", {0}, 0, NONE, NONE},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        VkQueueFamilyProperties list[6] = {{.queueFlags = 0}};
        uint32_t compute, transfer;
        for (uint32_t k = 0; k < table[i].n; k++)
            list[k].queueFlags = table[i].flags[k];
        bn_vulkan_choose_families(list, table[i].n, &compute, &transfer);
        ck_assert_msg((int)compute == table[i].compute && (int)transfer == table[i].transfer, "%s: %d, %d",
                      table[i].like, (int)compute, (int)transfer);
    }
}
END_TEST

START_TEST(subgroup_sizes)
{
    static const struct {
        const char *like;
        uint32_t vendor;
        struct subgroups subgroups; // own, least, most, per_group
        uint32_t threads, size;
    } table[] = {
        {"Intel", 0x8086, {32, 8, 32, 64}, 64, 16},
        {"Intel, small group", 0x8086, {32, 8, 32, 64}, 8, 8},
        {"AMD, RDNA", 0x1002, {64, 32, 64, 32}, 128, 32},
        {"AMD, RDNA, half a subgroup", 0x1002, {64, 32, 64, 32}, 16, 0},
        {"AMD, GCN", 0x1002, {64, 64, 64, 16}, 128, 64},
        {"AMD, GCN, half a subgroup", 0x1002, {64, 64, 64, 16}, 32, 0},
        {"NVIDIA", 0x10de, {32, 32, 32, 32}, 64, 32},
        {"Mali", 0x13b5, {16, 16, 16, 24}, 64, 16},
        {"Adreno", 0x5143, {128, 64, 128, 16}, 64, 64},
        {"Adreno, small group", 0x5143, {128, 64, 128, 16}, 32, 0},
        {"128", 0, {128, 128, 128, 8}, 128, 128},
        {"lavapipe", 0x10005, {8, 8, 8, 128}, 64, 8},
        {"lavapipe with SSE", 0x10005, {4, 4, 4, 128}, 64, 4},
        {"few subgroups", 0, {8, 4, 8, 4}, 64, 0},
        {"nothing said", 0, {32, 0, 0, 0}, 64, 0},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint32_t size =
            bn_vulkan_subgroup_size(&table[i].subgroups, bn_vulkan_usual_subgroup(table[i].vendor), table[i].threads);
        ck_assert_msg(size == table[i].size, "%s: %u", table[i].like, size);
    }
    // What cooperative matrices were chosen for.
    ck_assert_uint_eq(bn_vulkan_subgroup_size(&(struct subgroups){64, 32, 64, 32}, 64, 128), 64);
    ck_assert_uint_eq(bn_vulkan_subgroup_size(&(struct subgroups){32, 8, 32, 64}, 32, 128), 32);
}
END_TEST

// Neither int8, int16 nor halves, in registers or in memory, nor bindings of buffers, which have a largest size: only what the names of
// the variants say. Cooperative matrices need int8, and have other variants beside them.
START_TEST(capabilities)
{
    enum { OP_CAPABILITY = 17, SHADER = 1, ADDRESSES = 5347, GROUP = 61, ARITHMETIC = 63, SHUFFLE = 65 };
    enum { DOT_PACKED = 6018, DOT = 6019, VARIANTS = 4 };
    unsigned seen = 0;
    for (int k = 0; k < BN_KERNEL_COUNT; k++)
        for (uint32_t v = 0; v < VARIANTS; v++) {
            char name[64];
            snprintf(name, sizeof(name), "%s%s%s", bn_kernel_infos[k].name, v & BN_KERNEL_DOT ? "_dot" : "",
                     v & BN_KERNEL_SUBGROUP ? "_subgroup" : "");
            const struct spirv *spirv = bn_vulkan_spirv(name);
            ck_assert_msg(!spirv == ((v & bn_kernel_infos[k].variants) != v), "%s", name);
            for (size_t at = 5; spirv && at < spirv->bytes / 4 && (spirv->words[at] & 0xffff) == OP_CAPABILITY;
                 at += 2) {
                uint32_t needs = spirv->words[at + 1];
                bool of_dot = needs == DOT || needs == DOT_PACKED;
                bool of_subgroup = needs == GROUP || needs == ARITHMETIC || needs == SHUFFLE;
                ck_assert_msg(needs == SHADER || needs == ADDRESSES || (of_dot && (v & BN_KERNEL_DOT)) ||
                                  (of_subgroup && (v & BN_KERNEL_SUBGROUP)),
                              "%s needs capability %u", name, needs);
                seen++;
            }
        }
    ck_assert_uint_gt(seen, 80);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("adapter");
    TCase *tcase = tcase_create("choices");
    tcase_add_test(tcase, families);
    tcase_add_test(tcase, subgroup_sizes);
    tcase_add_test(tcase, capabilities);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
