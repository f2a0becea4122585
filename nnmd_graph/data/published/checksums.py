"""Ids that git gives to published files on GitHub: SHA-1 of size and content."""

RMD17_NPZ_COMMIT = "4f6bb0a186822c90d47cd98b7a27991fe0b3173b"
RMD17_NPZ_FILES: dict[tuple[str, str], tuple[str, ...]] = {
    ("aspirin", "test"): (
        "096745a13fe607787b35eec0526db2918fdb5659",
        "1ff346b8c8c5a827c3cde064e6ffcc98edd7e1d2",
        "c5b73dba02c12c574a0ed17cee01f1683f7e3a71",
        "d639ffbf81efa60ed49c062a82d885fa99965100",
        "969c9996e9c810ed23300cc63dae6181b5bdcf73",
    ),
    ("aspirin", "train"): (
        "b79d9c164ca0f545f1f2969b8f143d2585d49692",
        "ebddb394eadb17b4b7fa8c998c88050ca5a66458",
        "6814024d3d76960b77ae796e69de3edecb9c35b6",
        "8d8feed3e7c28d768a21e25edac337046dbfcee4",
        "570f10a28da0b68a0b2060123d52833c9c34e62c",
    ),
    ("azobenzene", "test"): (
        "b35ee63516d5b2324f5867ab5d893b2c4cc8aaa5",
        "1632be2356d9ab7a9f739ea5dad4f5cf94421933",
        "94f10c704b7e7d174709eceb12a33b20cbc7d775",
        "8273f669c96beb033c743e0e9dcd47b6a94beb6c",
        "c6217162c7815007a00b9bfcced0e37ec94150de",
    ),
    ("azobenzene", "train"): (
        "0c56af396f15b76de5aadd75162f72e27344b93a",
        "6a163209ab9567abd6ed11e5279e670b0dd7c421",
        "d092c1e238e83317df0b307a94d383e3f712132b",
        "f4d639fc1a98b38ac432d77a162dc192c3d063df",
        "a65814d8c20a889bea50581cb734fb31a0ae0817",
    ),
    ("benzene", "test"): (
        "46ae7cf9e81218554683b960f46723eafb033b6c",
        "966b606f1415a7f57cbfcc2c801419035c390597",
        "6d2a9144dd410c28ca11e5dc97ae092cb7776593",
        "c537e8098f5c0272dc9c4efc9709cc72753a7422",
        "152438982cfa009cc61d56dec638776a13888f86",
    ),
    ("benzene", "train"): (
        "c9128e863629dae509b3682b75709df9c16d1e04",
        "a802b85dbc47210b01da6568e4773e97831c6c2d",
        "bdb070ad7198ce601697b4efd7c4f0a769173ef5",
        "7e92eeb2022a92a1823bd68b7e82b01e11942ab7",
        "a13cec654bb2427c887c758c143666f3f2b55715",
    ),
    ("ethanol", "test"): (
        "b329524f5f108a41b308703778ae4746925c5d48",
        "39eb5e6426611a70cfb32d55333cbd138f681e94",
        "d2042b67b0321f31ca767acd3dad2fb0412aed77",
        "c0bf53d82ef46a706c20d3d3af9c55e058fbdfdc",
        "e33a3db004cb8f8f6c8a96ed13c5ef3339bdafbd",
    ),
    ("ethanol", "train"): (
        "aafb39266ebbda679fca238af07ab65e53ded8dc",
        "267ca1ace23284eb901c17f4363158c4e083abdb",
        "db469a8c8090e33e399f95743b3f8df8a256b639",
        "1b312c63c339d73c81b6aff02fb2738c1ab1749b",
        "c134d43ea401efb8dc62656aa4c3ea984954f439",
    ),
    ("malonaldehyde", "test"): (
        "85e717ec3856623045f9f6be180138f674d5073c",
        "f98744baa3fbb0e29a0e347497cbe3e9c580bb4d",
        "f164eac84540b3a95b1dbf928d8d2ec19ec02cc9",
        "8b6819e25114182804797b4422ca62cec51fb775",
        "8a50c33bdac275b20c5ac9b3eddf9c383d3e7dbd",
    ),
    ("malonaldehyde", "train"): (
        "a4ad1b9334c8f7bb6653355ef842b1e86a6e2f2b",
        "c95a1c6abaa58e995cf45f46b8401a8ff30ee765",
        "331d54a28519d9becb3336a0a250c9ce7fb5ed2a",
        "b0fc3bc704a45d14a8bb8b18b94e611ce44c47e7",
        "8b6fea68125ec817bab83c771a4fed2931f94243",
    ),
    ("naphthalene", "test"): (
        "11a5f79915107d83bf9d29d6cf1f07cf3e09a60d",
        "e6e29283e24f42a03d1509742a8425280b844658",
        "5a3d861fb50f18a755599bd591dd536da220c0d2",
        "39ad7a53a42c8d3c4a88b447648070eb590207a7",
        "a886ba571a28b13e9cbdc9888315454c44212598",
    ),
    ("naphthalene", "train"): (
        "0b4afc3fa4e47c86adbda09faf9dea77cd16f81c",
        "3632b82273ae99312d62e57b73a30f54ba0333e3",
        "ec9e5a83c69207ae68d30d301f151de5c9758734",
        "b37eb342c4cbe9504759f1dafc219eb3411cbb7d",
        "9c605b64184eac136d8c84116b57d189b60ac959",
    ),
    ("paracetamol", "test"): (
        "f6bbc1519808fe9acb2f7e05c94afef93d546acd",
        "2b60a7dee4e9fe4cc0810f0ccec86339b0d12847",
        "d725b71fb3c855d1e3e25d657926ab06b3d2d92f",
        "7452c6c0ff5198ef7da9216774020bb66e4c12eb",
        "60f60aca4274617abef904f20a1103d65e4d3f75",
    ),
    ("paracetamol", "train"): (
        "1a2cba37bf29bffb73295c56b50dad3f979652fe",
        "da063532708698122f2918acf0672b15bf7218ae",
        "bfa4a523a2373823559372dcb8e21d8152d5b3fe",
        "835c43aa81019454f2f647a64fbb9297f55a7a54",
        "ec52d26147de51f01cd485dc03257573a1c15174",
    ),
    ("salicylic", "test"): (
        "bf31a2a7b5290391d78a5072c2b998b095e2157d",
        "46111cca09a6cfa88a679ba5fe0bd377dbfbe997",
        "c879b0008225992add1189518adbfcd3a135b8f9",
        "87e18fa1e322d9c2e387af837de415e38b4b9858",
        "e847e7788e0608f477346a3bb1013bd531828519",
    ),
    ("salicylic", "train"): (
        "7eb550dd04220bc4c65e22438730bef58c9ecb3c",
        "1598cc415ad8e7a34d6a74cc2a6953d687c6ab3b",
        "fc37e1dd57dd39f5530a91f598eec4279315adce",
        "963a2127bbb3db99dbb6ec7f66b1ea78b17f45d7",
        "b3c4f5c665143c2f677f8c714131a6ab26e5a035",
    ),
    ("toluene", "test"): (
        "e79d94bee4afca9f9e20853bda364e4518c82087",
        "772a658e2f3e26768528af472d7e790657d974b7",
        "7e92bbab2e6f38005fcffd14b7a47425bcd3da0d",
        "43e05b7b563b61c41ecaf0738529e2c500c7ed68",
        "5162f518234cd20cf1f79e4d954b9723431389ca",
    ),
    ("toluene", "train"): (
        "c8729d52dd47d3108b0d0f4fd83853cc98c61b11",
        "f0e16bf7e67c5e7f63a11e5955cfea8c691ce81d",
        "19b109d9ce5aa01bb24e969554ac1afe5643baf8",
        "706611e2fe971b18ffced6b4d1265e7795bbcf99",
        "1a2eb31929180b071483517f288fbd5c39dfdc51",
    ),
    ("uracil", "test"): (
        "7c458850cdd340f4253f92132d63fe42f386d351",
        "df473cc78d7d5a1699410679feb94e5b21ddfe34",
        "c672f43f194cf11b107fcc5551556495321c3851",
        "af4072d44b05fd071a51dc228e6aaa7ddd072e04",
        "72e5024e91184663a750c520cddd2ba8816b7519",
    ),
    ("uracil", "train"): (
        "d2b2b11e6f8033061cb4b4dbed94abf4088b4e3e",
        "b74730af2cbad292667fc9f1a5bc94eaff95bd50",
        "691041daed2a9ba78ef39f3b9ae17c980463af3d",
        "a65d1747ba59cfe12505c22c00cb15a27195f8fa",
        "8c2aa26d1dc7f9d912dcad3df3fbdec3baf0e3ae",
    ),
}
"""By molecule and split, for folds 1 to 5."""

MLEARN_COMMIT = "10c427a5480c6281c15c64efaf869b03be04818f"
MLEARN_FILES: dict[str, tuple[str, str]] = {
    "Ni": (
        "70f0abe1a2cc06ada3fcd7e5bc68e2139b942228",
        "f91c374c230c145d4892bcad8538c16c27a2ce45",
    ),
    "Cu": (
        "9804a3c4335bc6cb796d67b3e90a8f203844ab40",
        "2c470dfcb7c0a3b138866faccf5ecc70a95f7bc8",
    ),
    "Li": (
        "553f8cb3a2edc45247d3230170b09d930e0f587c",
        "9f8b2d748f9ed450b37451645603a7801487f8fd",
    ),
    "Mo": (
        "d3c1f2b5caf0fce53ba256f5e98791bf6dd033df",
        "4e61d7a6d7ce9c1b277f6b78f6e54ee7e15b0aa6",
    ),
    "Si": (
        "83f119b2528893eb3c87c65549d09f5d31ef4dbd",
        "6f5d4fbabf5d87b6b0c6cfd18451ab03d4bd3f84",
    ),
    "Ge": (
        "0671672f739c6084214f475d8bfaf5de5874c00c",
        "84700a3c289daac6c8715597fcc16b65f46e5027",
    ),
}
"""By element, training.json and test.json."""

BOTNET_COMMIT = "29e6d467317e4b5967b7ea5cbee54de953fa0d45"
ACETYLACETONE_FILES: dict[str, str | None] = {
    "train_300K": "5f83fc060856b25b9942b320c73a6b58dbc29c0a",
    "train_600K": "89e4bc55889822540786efa0366ceb3559e53ba6",
    "test_MD_300K": "01d273fdf2a11b3d462143b1b538f367845771ef",
    "test_MD_600K": "60920a5a506f7581c7a0f3c9f0cf677b1af03079",
    "test_dihedral": "6b98a848f50cd355df71b6292d1bf8e34d0f6267",
    "test_H_transfer": "b0b2c6c542d6cef64b5d17d5bbbaf7b2d4a274c3",
}
THREE_BPA_FILES: dict[str, str | None] = {
    "train_300K": "93cdf96b0a4d8d81ca52889c4697a553471779f5",
    "train_mixedT": "29a3993db824e41b1160193e447b99e1ffb1463a",
    "test_300K": "6ea840dfce31bd7667a26e592f3625729c90441b",
    "test_600K": "681d24eeb4e9193644e6db58193b50e205a5bc0f",
    "test_1200K": "94beb5238c3573e4be4d368928460f951e07e513",
    "test_dih": "7bdd390b9aed0a677dd8036a3a5055a0b648d1f5",
    "test_dih_beta120": None,
    "test_dih_beta150": None,
    "test_dih_beta180": None,
}
"""By part; None: in the archive only."""

CHENG_COMMIT = "7b8b1a2b4270cffcab1bfd11a8603767b4966396"
CHENG_FILE = "2fa83bcdc3c0d242d6edce108cda170bff69605c"
"""input.data."""
