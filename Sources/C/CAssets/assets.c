// Files compiled into the binary with C23's #embed: no bundle to find at run time, no code generation.
#include "CAssets.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char common_passwords[] = {
#embed "assets/common-passwords.txt"
};

const gatehouse_asset gatehouse_assets[] = {
    {"common-passwords.txt", common_passwords, sizeof common_passwords},
};
const size_t gatehouse_assets_count = sizeof gatehouse_assets / sizeof gatehouse_assets[0];
