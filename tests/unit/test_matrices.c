// The shape of cooperative matrices that the Vulkan driver takes from what a device offers.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/vulkan/matrices.h"

#define OFFER(m, n, k, a, result, saturates, in)                                                                       \
    {                                                                                                                  \
        VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR, NULL, m, n, k, VK_COMPONENT_TYPE_##a##_KHR,               \
            VK_COMPONENT_TYPE_##a##_KHR, VK_COMPONENT_TYPE_##result##_KHR, VK_COMPONENT_TYPE_##result##_KHR,           \
            saturates, VK_SCOPE_##in##_KHR                                                                             \
    }
#define INT8(m, n, k) OFFER(m, n, k, SINT8, SINT32, VK_FALSE, SUBGROUP)

static const char *choose(const struct VkCooperativeMatrixPropertiesKHR *list, uint32_t n, uint32_t subgroup_size)
{
    static char text[64];
    struct matrix_shape shape;
    if (!bn_vulkan_choose_shape(list, n, subgroup_size, &shape))
        return "none";
    snprintf(text, sizeof(text), "%ux%ux%u", shape.m, shape.n, shape.k);
    return text;
}
#define CHOOSE(subgroup_size, ...)                                                                                     \
    choose((const struct VkCooperativeMatrixPropertiesKHR[]){__VA_ARGS__},                                             \
           sizeof((const struct VkCooperativeMatrixPropertiesKHR[]){__VA_ARGS__}) /                                    \
               sizeof(struct VkCooperativeMatrixPropertiesKHR),                                                        \
           subgroup_size)

START_TEST(takes_the_largest)
{
    ck_assert_str_eq(CHOOSE(32, INT8(16, 16, 16)), "16x16x16");
    ck_assert_str_eq(CHOOSE(32, INT8(16, 8, 32), INT8(16, 16, 32), INT8(8, 8, 16)), "16x16x32");
    ck_assert_str_eq(CHOOSE(64, INT8(16, 16, 16), INT8(32, 32, 16)), "32x32x16"); // two parts, two subgroups
    ck_assert_str_eq(CHOOSE(128, INT8(64, 32, 128)), "64x32x128");
}
END_TEST

// Rather small matrices than subgroups without any.
START_TEST(keeps_subgroups_busy)
{
    ck_assert_str_eq(CHOOSE(32, INT8(32, 32, 16), INT8(16, 16, 16)), "16x16x16");
    ck_assert_str_eq(CHOOSE(8, INT8(16, 16, 32), INT8(8, 8, 32)), "8x8x32");
    ck_assert_str_eq(CHOOSE(8, INT8(16, 16, 32)), "16x16x32"); // but better than none
}
END_TEST

START_TEST(skips_what_the_shader_cannot_use)
{
    ck_assert_str_eq(CHOOSE(32, OFFER(16, 16, 16, FLOAT16, FLOAT16, VK_FALSE, SUBGROUP)), "none");
    ck_assert_str_eq(CHOOSE(32, OFFER(16, 16, 16, UINT8, SINT32, VK_FALSE, SUBGROUP)), "none");
    ck_assert_str_eq(CHOOSE(32, OFFER(16, 16, 16, SINT8, SINT8, VK_FALSE, SUBGROUP)), "none");
    ck_assert_str_eq(CHOOSE(32, OFFER(16, 16, 16, SINT8, SINT32, VK_TRUE, SUBGROUP)), "none");
    ck_assert_str_eq(CHOOSE(32, OFFER(16, 16, 16, SINT8, SINT32, VK_FALSE, WORKGROUP)), "none");
    ck_assert_str_eq(CHOOSE(32, INT8(128, 16, 16), INT8(16, 64, 16), INT8(16, 16, 256)),
                     "none");                                                                   // larger than the tile
    ck_assert_str_eq(CHOOSE(32, INT8(24, 16, 16), INT8(16, 12, 16), INT8(16, 16, 48)), "none"); // do not divide it
    ck_assert_str_eq(CHOOSE(32, INT8(2, 16, 16), INT8(16, 16, 8), INT8(0, 0, 0)), "none");      // not whole quads
    ck_assert_str_eq(CHOOSE(32, OFFER(32, 32, 32, UINT8, SINT32, VK_FALSE, SUBGROUP), INT8(8, 8, 16)), "8x8x16");
    ck_assert_str_eq(CHOOSE(0, INT8(16, 16, 16)), "none"); // subgroups that do not divide the workgroup
    ck_assert_str_eq(CHOOSE(48, INT8(16, 16, 16)), "none");
    ck_assert_str_eq(CHOOSE(256, INT8(16, 16, 16)), "none");
    ck_assert_str_eq(choose(NULL, 0, 32), "none");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("matrices");
    TCase *tcase = tcase_create("shape");
    tcase_add_test(tcase, takes_the_largest);
    tcase_add_test(tcase, keeps_subgroups_busy);
    tcase_add_test(tcase, skips_what_the_shader_cannot_use);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
