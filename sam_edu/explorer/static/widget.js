// src/generated.json
var generated_default = {
  colours: {
    masks: [
      "#00519E",
      "#F0A010",
      "#C25A94",
      "#A5DBF5"
    ],
    positive: "#12853A",
    negative: "#D1202F",
    box: "#F0E442",
    kept: "#C9C9C9",
    gained: "#FFF3B0",
    lost: "#5A1035",
    heat: [
      "#000004",
      "#020109",
      "#030312",
      "#06051a",
      "#0a0822",
      "#0e0b2b",
      "#130d34",
      "#180f3d",
      "#1d1147",
      "#221150",
      "#29115a",
      "#2f1163",
      "#36106b",
      "#3d0f71",
      "#440f76",
      "#4a1079",
      "#52137c",
      "#59157e",
      "#5f187f",
      "#651a80",
      "#6b1d81",
      "#721f81",
      "#782281",
      "#7e2482",
      "#842681",
      "#8b2981",
      "#912b81",
      "#982d80",
      "#9e2f7f",
      "#a5317e",
      "#ab337c",
      "#b2357b",
      "#ba3878",
      "#c03a76",
      "#c73d73",
      "#cd4071",
      "#d3436e",
      "#d9466b",
      "#df4a68",
      "#e44f64",
      "#e95462",
      "#ed5a5f",
      "#f1605d",
      "#f4675c",
      "#f66e5c",
      "#f8765c",
      "#fa7d5e",
      "#fb8560",
      "#fc8e64",
      "#fd9668",
      "#fe9d6c",
      "#fea571",
      "#feac76",
      "#feb47b",
      "#febb81",
      "#fec287",
      "#feca8d",
      "#fed194",
      "#fed89a",
      "#fde0a1",
      "#fde7a9",
      "#fceeb0",
      "#fcf6b8",
      "#fcfdbf"
    ],
    signed: [
      "#053061",
      "#09386d",
      "#0e4179",
      "#124984",
      "#175290",
      "#1b5a9c",
      "#1f63a8",
      "#246aae",
      "#2a71b2",
      "#2f79b5",
      "#3480b9",
      "#3a87bd",
      "#3f8ec0",
      "#4695c4",
      "#529dc8",
      "#5fa5cd",
      "#6eaed2",
      "#7bb6d6",
      "#87beda",
      "#93c6de",
      "#9dcbe1",
      "#a7d0e4",
      "#b1d5e7",
      "#bbdaea",
      "#c5dfec",
      "#cfe4ef",
      "#d5e7f1",
      "#dbeaf2",
      "#e1edf3",
      "#e7f0f4",
      "#edf2f5",
      "#f3f5f6",
      "#f8f4f2",
      "#f9f0eb",
      "#f9ebe3",
      "#fae7dc",
      "#fbe3d4",
      "#fcdecd",
      "#fdd9c4",
      "#fbd0b9",
      "#fac8af",
      "#f8bfa4",
      "#f7b799",
      "#f6af8e",
      "#f4a683",
      "#f09c7b",
      "#eb9172",
      "#e6866a",
      "#e17860",
      "#dc6e57",
      "#d7634f",
      "#d25849",
      "#cc4c44",
      "#c6413e",
      "#c13639",
      "#bb2a34",
      "#b61f2e",
      "#ae172a",
      "#a21328",
      "#960f27",
      "#8a0b25",
      "#7f0823",
      "#730421",
      "#67001f"
    ]
  },
  attentions: [
    {
      path: "transformer.layers.0.self_attn",
      tensor: "transformer.layers.0.self_attn.weights",
      step: "(1)",
      block: 0,
      queries: "tokens",
      keys: "tokens"
    },
    {
      path: "transformer.layers.0.cross_attn_token_to_image",
      tensor: "transformer.layers.0.cross_attn_token_to_image.weights",
      step: "(2)",
      block: 0,
      queries: "tokens",
      keys: "image"
    },
    {
      path: "transformer.layers.0.cross_attn_image_to_token",
      tensor: "transformer.layers.0.cross_attn_image_to_token.weights",
      step: "(4)",
      block: 0,
      queries: "image",
      keys: "tokens"
    },
    {
      path: "transformer.layers.1.self_attn",
      tensor: "transformer.layers.1.self_attn.weights",
      step: "(1)",
      block: 1,
      queries: "tokens",
      keys: "tokens"
    },
    {
      path: "transformer.layers.1.cross_attn_token_to_image",
      tensor: "transformer.layers.1.cross_attn_token_to_image.weights",
      step: "(2)",
      block: 1,
      queries: "tokens",
      keys: "image"
    },
    {
      path: "transformer.layers.1.cross_attn_image_to_token",
      tensor: "transformer.layers.1.cross_attn_image_to_token.weights",
      step: "(4)",
      block: 1,
      queries: "image",
      keys: "tokens"
    },
    {
      path: "transformer.final_attn_token_to_image",
      tensor: "transformer.final_attn_token_to_image.weights",
      step: "(6-1)",
      block: null,
      queries: "tokens",
      keys: "image"
    }
  ],
  steps: {
    "prompt_encoder.sparse_embeddings": "prompt",
    "prompt_encoder.dense_embeddings": "prompt",
    tokens: "(0)",
    src: "(0)",
    pos_src: "(0)",
    "transformer.layers.{i}.self_attn.q": "(1)",
    "transformer.layers.{i}.self_attn.k": "(1)",
    "transformer.layers.{i}.self_attn.v": "(1)",
    "transformer.layers.{i}.self_attn.scores": "(1)",
    "transformer.layers.{i}.self_attn.weights": "(1)",
    "transformer.layers.{i}.self_attn.heads": "(1)",
    "transformer.layers.{i}.self_attn.out": "(1)",
    "transformer.layers.{i}.queries_1": "(1)",
    "transformer.layers.{i}.cross_attn_token_to_image.q": "(2)",
    "transformer.layers.{i}.cross_attn_token_to_image.k": "(2)",
    "transformer.layers.{i}.cross_attn_token_to_image.v": "(2)",
    "transformer.layers.{i}.cross_attn_token_to_image.scores": "(2)",
    "transformer.layers.{i}.cross_attn_token_to_image.weights": "(2)",
    "transformer.layers.{i}.cross_attn_token_to_image.heads": "(2)",
    "transformer.layers.{i}.cross_attn_token_to_image.out": "(2)",
    "transformer.layers.{i}.queries_2": "(2)",
    "transformer.layers.{i}.mlp.hidden": "(3)",
    "transformer.layers.{i}.queries_3": "(3)",
    "transformer.layers.{i}.cross_attn_image_to_token.q": "(4)",
    "transformer.layers.{i}.cross_attn_image_to_token.k": "(4)",
    "transformer.layers.{i}.cross_attn_image_to_token.v": "(4)",
    "transformer.layers.{i}.cross_attn_image_to_token.scores": "(4)",
    "transformer.layers.{i}.cross_attn_image_to_token.weights": "(4)",
    "transformer.layers.{i}.cross_attn_image_to_token.heads": "(4)",
    "transformer.layers.{i}.cross_attn_image_to_token.out": "(4)",
    "transformer.layers.{i}.keys_4": "(4)",
    "transformer.final_attn_token_to_image.q": "(6-1)",
    "transformer.final_attn_token_to_image.k": "(6-1)",
    "transformer.final_attn_token_to_image.v": "(6-1)",
    "transformer.final_attn_token_to_image.scores": "(6-1)",
    "transformer.final_attn_token_to_image.weights": "(6-1)",
    "transformer.final_attn_token_to_image.heads": "(6-1)",
    "transformer.final_attn_token_to_image.out": "(6-1)",
    hs: "(6-1)",
    keys: "(5)",
    "output_upscaling.doubled_once": "(5)",
    "output_upscaling.normed": "(5)",
    "output_upscaling.activated_once": "(5)",
    "output_upscaling.doubled_twice": "(5)",
    "output_upscaling.activated_twice": "(5)",
    hyper_in: "(6-2)",
    masks: "(6-3)",
    iou_pred: "(7)"
  },
  axes: {
    "transformer.layers.0.self_attn.k": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.0.self_attn.v": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.0.cross_attn_token_to_image.k": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.0.cross_attn_token_to_image.v": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.0.cross_attn_image_to_token.k": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.0.cross_attn_image_to_token.v": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.1.self_attn.k": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.1.self_attn.v": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.1.cross_attn_token_to_image.k": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.1.cross_attn_token_to_image.v": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.1.cross_attn_image_to_token.k": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.1.cross_attn_image_to_token.v": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.final_attn_token_to_image.k": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.final_attn_token_to_image.v": [
      "batch",
      "heads",
      "keys",
      "head_dim"
    ],
    "transformer.layers.0.self_attn.heads": [
      "batch",
      "heads",
      "queries",
      "head_dim"
    ],
    "transformer.layers.0.cross_attn_token_to_image.heads": [
      "batch",
      "heads",
      "queries",
      "head_dim"
    ],
    "transformer.layers.0.cross_attn_image_to_token.heads": [
      "batch",
      "heads",
      "queries",
      "head_dim"
    ],
    "transformer.layers.1.self_attn.heads": [
      "batch",
      "heads",
      "queries",
      "head_dim"
    ],
    "transformer.layers.1.cross_attn_token_to_image.heads": [
      "batch",
      "heads",
      "queries",
      "head_dim"
    ],
    "transformer.layers.1.cross_attn_image_to_token.heads": [
      "batch",
      "heads",
      "queries",
      "head_dim"
    ],
    "transformer.final_attn_token_to_image.heads": [
      "batch",
      "heads",
      "queries",
      "head_dim"
    ],
    "transformer.layers.0.self_attn.out": [
      "batch",
      "queries",
      "dim"
    ],
    "transformer.layers.0.cross_attn_token_to_image.out": [
      "batch",
      "queries",
      "dim"
    ],
    "transformer.layers.0.cross_attn_image_to_token.out": [
      "batch",
      "queries",
      "dim"
    ],
    "transformer.layers.1.self_attn.out": [
      "batch",
      "queries",
      "dim"
    ],
    "transformer.layers.1.cross_attn_token_to_image.out": [
      "batch",
      "queries",
      "dim"
    ],
    "transformer.layers.1.cross_attn_image_to_token.out": [
      "batch",
      "queries",
      "dim"
    ],
    "transformer.final_attn_token_to_image.out": [
      "batch",
      "queries",
      "dim"
    ],
    "transformer.layers.0.mlp.hidden": [
      "batch",
      "tokens",
      "mlp_dim"
    ],
    "transformer.layers.1.mlp.hidden": [
      "batch",
      "tokens",
      "mlp_dim"
    ],
    "transformer.layers.0.mlp.out": [
      "batch",
      "tokens",
      "dim"
    ],
    "transformer.layers.1.mlp.out": [
      "batch",
      "tokens",
      "dim"
    ],
    hs: [
      "batch",
      "tokens",
      "dim"
    ],
    hyper_in: [
      "batch",
      "masks",
      "channels"
    ]
  },
  notebooks: {
    "prompt_encoder.sparse_embeddings": "03",
    "prompt_encoder.dense_embeddings": "03",
    tokens: "08",
    src: "08",
    pos_src: "08",
    "transformer.layers.{i}.self_attn.q": "02",
    "transformer.layers.{i}.self_attn.k": "02",
    "transformer.layers.{i}.self_attn.v": "02",
    "transformer.layers.{i}.self_attn.scores": "02",
    "transformer.layers.{i}.self_attn.weights": "02",
    "transformer.layers.{i}.self_attn.heads": "02",
    "transformer.layers.{i}.self_attn.out": "02",
    "transformer.layers.{i}.queries_1": "04",
    "transformer.layers.{i}.cross_attn_token_to_image.q": "02",
    "transformer.layers.{i}.cross_attn_token_to_image.k": "02",
    "transformer.layers.{i}.cross_attn_token_to_image.v": "02",
    "transformer.layers.{i}.cross_attn_token_to_image.scores": "02",
    "transformer.layers.{i}.cross_attn_token_to_image.weights": "02",
    "transformer.layers.{i}.cross_attn_token_to_image.heads": "02",
    "transformer.layers.{i}.cross_attn_token_to_image.out": "02",
    "transformer.layers.{i}.queries_2": "04",
    "transformer.layers.{i}.mlp.hidden": "01",
    "transformer.layers.{i}.queries_3": "04",
    "transformer.layers.{i}.cross_attn_image_to_token.q": "02",
    "transformer.layers.{i}.cross_attn_image_to_token.k": "02",
    "transformer.layers.{i}.cross_attn_image_to_token.v": "02",
    "transformer.layers.{i}.cross_attn_image_to_token.scores": "02",
    "transformer.layers.{i}.cross_attn_image_to_token.weights": "02",
    "transformer.layers.{i}.cross_attn_image_to_token.heads": "02",
    "transformer.layers.{i}.cross_attn_image_to_token.out": "02",
    "transformer.layers.{i}.keys_4": "04",
    "transformer.final_attn_token_to_image.q": "02",
    "transformer.final_attn_token_to_image.k": "02",
    "transformer.final_attn_token_to_image.v": "02",
    "transformer.final_attn_token_to_image.scores": "02",
    "transformer.final_attn_token_to_image.weights": "02",
    "transformer.final_attn_token_to_image.heads": "02",
    "transformer.final_attn_token_to_image.out": "02",
    hs: "05",
    keys: "05",
    "output_upscaling.doubled_once": "06",
    "output_upscaling.normed": "06",
    "output_upscaling.activated_once": "06",
    "output_upscaling.doubled_twice": "06",
    "output_upscaling.activated_twice": "06",
    hyper_in: "07",
    masks: "07",
    iou_pred: "08"
  },
  gates: {
    "transformer.layers.0.self_attn.k": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.0.self_attn.v": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.0.cross_attn_token_to_image.k": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.0.cross_attn_token_to_image.v": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.0.cross_attn_image_to_token.k": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.0.cross_attn_image_to_token.v": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.1.self_attn.k": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.1.self_attn.v": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.1.cross_attn_token_to_image.k": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.1.cross_attn_token_to_image.v": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.1.cross_attn_image_to_token.k": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.1.cross_attn_image_to_token.v": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.final_attn_token_to_image.k": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.final_attn_token_to_image.v": {
      axes: [
        "batch",
        "heads",
        "keys",
        "head_dim"
      ],
      switched: []
    },
    "transformer.layers.0.self_attn.heads": {
      axes: [
        "batch",
        "heads",
        "queries",
        "head_dim"
      ],
      switched: [
        "heads"
      ]
    },
    "transformer.layers.0.cross_attn_token_to_image.heads": {
      axes: [
        "batch",
        "heads",
        "queries",
        "head_dim"
      ],
      switched: [
        "heads"
      ]
    },
    "transformer.layers.0.cross_attn_image_to_token.heads": {
      axes: [
        "batch",
        "heads",
        "queries",
        "head_dim"
      ],
      switched: [
        "heads"
      ]
    },
    "transformer.layers.1.self_attn.heads": {
      axes: [
        "batch",
        "heads",
        "queries",
        "head_dim"
      ],
      switched: [
        "heads"
      ]
    },
    "transformer.layers.1.cross_attn_token_to_image.heads": {
      axes: [
        "batch",
        "heads",
        "queries",
        "head_dim"
      ],
      switched: [
        "heads"
      ]
    },
    "transformer.layers.1.cross_attn_image_to_token.heads": {
      axes: [
        "batch",
        "heads",
        "queries",
        "head_dim"
      ],
      switched: [
        "heads"
      ]
    },
    "transformer.final_attn_token_to_image.heads": {
      axes: [
        "batch",
        "heads",
        "queries",
        "head_dim"
      ],
      switched: [
        "heads"
      ]
    },
    "transformer.layers.0.self_attn.out": {
      axes: [
        "batch",
        "queries",
        "dim"
      ],
      switched: []
    },
    "transformer.layers.0.cross_attn_token_to_image.out": {
      axes: [
        "batch",
        "queries",
        "dim"
      ],
      switched: []
    },
    "transformer.layers.0.cross_attn_image_to_token.out": {
      axes: [
        "batch",
        "queries",
        "dim"
      ],
      switched: []
    },
    "transformer.layers.1.self_attn.out": {
      axes: [
        "batch",
        "queries",
        "dim"
      ],
      switched: []
    },
    "transformer.layers.1.cross_attn_token_to_image.out": {
      axes: [
        "batch",
        "queries",
        "dim"
      ],
      switched: []
    },
    "transformer.layers.1.cross_attn_image_to_token.out": {
      axes: [
        "batch",
        "queries",
        "dim"
      ],
      switched: []
    },
    "transformer.final_attn_token_to_image.out": {
      axes: [
        "batch",
        "queries",
        "dim"
      ],
      switched: []
    },
    "transformer.layers.0.mlp.hidden": {
      axes: [
        "batch",
        "tokens",
        "mlp_dim"
      ],
      switched: []
    },
    "transformer.layers.1.mlp.hidden": {
      axes: [
        "batch",
        "tokens",
        "mlp_dim"
      ],
      switched: []
    },
    "transformer.layers.0.mlp.out": {
      axes: [
        "batch",
        "tokens",
        "dim"
      ],
      switched: []
    },
    "transformer.layers.1.mlp.out": {
      axes: [
        "batch",
        "tokens",
        "dim"
      ],
      switched: []
    },
    hs: {
      axes: [
        "batch",
        "tokens",
        "dim"
      ],
      switched: [
        "tokens"
      ]
    },
    hyper_in: {
      axes: [
        "batch",
        "masks",
        "channels"
      ],
      switched: [
        "masks",
        "channels"
      ]
    }
  },
  sizes: {
    heads: 8,
    masks: 4,
    channels: 32
  },
  heads: 8,
  channels: 32,
  mlps: [
    "transformer.layers.0.mlp",
    "transformer.layers.1.mlp"
  ],
  parts: [
    {
      name: "transformer.layers.0.self_attn",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: null,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 0",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 0,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 1",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 1,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 2",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 2,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 3",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 3,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 4",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 4,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 5",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 5,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 6",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 6,
      of_image: false
    },
    {
      name: "transformer.layers.0.self_attn head 7",
      step: "transformer.layers.0.self_attn",
      number: "(1)",
      block: 0,
      head: 7,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: null,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 0",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 0,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 1",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 1,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 2",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 2,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 3",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 3,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 4",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 4,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 5",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 5,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 6",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 6,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_token_to_image head 7",
      step: "transformer.layers.0.cross_attn_token_to_image",
      number: "(2)",
      block: 0,
      head: 7,
      of_image: false
    },
    {
      name: "transformer.layers.0.mlp",
      step: "transformer.layers.0.mlp",
      number: "(3)",
      block: 0,
      head: null,
      of_image: false
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: null,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 0",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 0,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 1",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 1,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 2",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 2,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 3",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 3,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 4",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 4,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 5",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 5,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 6",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 6,
      of_image: true
    },
    {
      name: "transformer.layers.0.cross_attn_image_to_token head 7",
      step: "transformer.layers.0.cross_attn_image_to_token",
      number: "(4)",
      block: 0,
      head: 7,
      of_image: true
    },
    {
      name: "transformer.layers.1.self_attn",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: null,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 0",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 0,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 1",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 1,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 2",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 2,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 3",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 3,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 4",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 4,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 5",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 5,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 6",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 6,
      of_image: false
    },
    {
      name: "transformer.layers.1.self_attn head 7",
      step: "transformer.layers.1.self_attn",
      number: "(1)",
      block: 1,
      head: 7,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: null,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 0",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 0,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 1",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 1,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 2",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 2,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 3",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 3,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 4",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 4,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 5",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 5,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 6",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 6,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_token_to_image head 7",
      step: "transformer.layers.1.cross_attn_token_to_image",
      number: "(2)",
      block: 1,
      head: 7,
      of_image: false
    },
    {
      name: "transformer.layers.1.mlp",
      step: "transformer.layers.1.mlp",
      number: "(3)",
      block: 1,
      head: null,
      of_image: false
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: null,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 0",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 0,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 1",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 1,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 2",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 2,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 3",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 3,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 4",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 4,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 5",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 5,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 6",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 6,
      of_image: true
    },
    {
      name: "transformer.layers.1.cross_attn_image_to_token head 7",
      step: "transformer.layers.1.cross_attn_image_to_token",
      number: "(4)",
      block: 1,
      head: 7,
      of_image: true
    },
    {
      name: "transformer.final_attn_token_to_image",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: null,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 0",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 0,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 1",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 1,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 2",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 2,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 3",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 3,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 4",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 4,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 5",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 5,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 6",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 6,
      of_image: false
    },
    {
      name: "transformer.final_attn_token_to_image head 7",
      step: "transformer.final_attn_token_to_image",
      number: "(6-1)",
      block: null,
      head: 7,
      of_image: false
    }
  ],
  stops: [
    {
      name: "(0)",
      block: null,
      shows: "src",
      tokens: "tokens",
      asked: "src"
    },
    {
      name: "(1)–(3)",
      block: 0,
      shows: "transformer.layers.0.cross_attn_token_to_image.weights",
      tokens: "transformer.layers.0.queries_3",
      asked: "transformer.layers.0.cross_attn_token_to_image.weights"
    },
    {
      name: "(4)",
      block: 0,
      shows: "transformer.layers.0.keys_4",
      tokens: "",
      asked: "transformer.layers.0.keys_4"
    },
    {
      name: "(1)–(3)",
      block: 1,
      shows: "transformer.layers.1.cross_attn_token_to_image.weights",
      tokens: "transformer.layers.1.queries_3",
      asked: "transformer.layers.1.cross_attn_token_to_image.weights"
    },
    {
      name: "(4)",
      block: 1,
      shows: "transformer.layers.1.keys_4",
      tokens: "",
      asked: "transformer.layers.1.keys_4"
    },
    {
      name: "(6-1)",
      block: null,
      shows: "transformer.final_attn_token_to_image.weights",
      tokens: "hs",
      asked: "transformer.final_attn_token_to_image.weights"
    },
    {
      name: "(5)",
      block: null,
      shows: "output_upscaling.activated_twice",
      tokens: "",
      asked: "output_upscaling.activated_twice.per_image_token"
    },
    {
      name: "(6-2)",
      block: null,
      shows: "hyper_in",
      tokens: "hyper_in",
      asked: "hyper_in"
    },
    {
      name: "(6-3)",
      block: null,
      shows: "masks",
      tokens: "",
      asked: "masks"
    }
  ],
  effects: {
    "transformer.layers.0.self_attn zero": [
      -0.1793,
      -0.2039,
      -0.1551
    ],
    "transformer.layers.0.self_attn mean": [
      -0.0173,
      -0.0274,
      -83e-4
    ],
    "transformer.layers.0.self_attn resample": [
      -0.0492,
      -0.0672,
      -0.0323
    ],
    "transformer.layers.0.self_attn head 0 zero": [
      -26e-4,
      -43e-4,
      -1e-3
    ],
    "transformer.layers.0.self_attn head 0 mean": [
      -23e-4,
      -46e-4,
      -5e-4
    ],
    "transformer.layers.0.self_attn head 0 resample": [
      -48e-4,
      -95e-4,
      -12e-4
    ],
    "transformer.layers.0.self_attn head 1 zero": [
      -9e-4,
      -23e-4,
      3e-4
    ],
    "transformer.layers.0.self_attn head 1 mean": [
      -11e-4,
      -25e-4,
      -1e-4
    ],
    "transformer.layers.0.self_attn head 1 resample": [
      -12e-4,
      -23e-4,
      -2e-4
    ],
    "transformer.layers.0.self_attn head 2 zero": [
      -11e-4,
      -48e-4,
      3e-3
    ],
    "transformer.layers.0.self_attn head 2 mean": [
      -5e-4,
      -12e-4,
      3e-4
    ],
    "transformer.layers.0.self_attn head 2 resample": [
      -11e-4,
      -24e-4,
      1e-4
    ],
    "transformer.layers.0.self_attn head 3 zero": [
      -28e-4,
      -62e-4,
      2e-4
    ],
    "transformer.layers.0.self_attn head 3 mean": [
      -4e-4,
      -14e-4,
      6e-4
    ],
    "transformer.layers.0.self_attn head 3 resample": [
      -9e-4,
      -25e-4,
      5e-4
    ],
    "transformer.layers.0.self_attn head 4 zero": [
      -46e-4,
      -0.0105,
      0
    ],
    "transformer.layers.0.self_attn head 4 mean": [
      -44e-4,
      -0.0111,
      8e-4
    ],
    "transformer.layers.0.self_attn head 4 resample": [
      -89e-4,
      -0.0167,
      -21e-4
    ],
    "transformer.layers.0.self_attn head 5 zero": [
      -0,
      -5e-4,
      5e-4
    ],
    "transformer.layers.0.self_attn head 5 mean": [
      -1e-4,
      -5e-4,
      1e-4
    ],
    "transformer.layers.0.self_attn head 5 resample": [
      1e-4,
      -4e-4,
      6e-4
    ],
    "transformer.layers.0.self_attn head 6 zero": [
      -15e-4,
      -37e-4,
      7e-4
    ],
    "transformer.layers.0.self_attn head 6 mean": [
      -12e-4,
      -34e-4,
      9e-4
    ],
    "transformer.layers.0.self_attn head 6 resample": [
      -12e-4,
      -36e-4,
      1e-3
    ],
    "transformer.layers.0.self_attn head 7 zero": [
      -5e-4,
      -14e-4,
      3e-4
    ],
    "transformer.layers.0.self_attn head 7 mean": [
      -6e-4,
      -12e-4,
      -1e-4
    ],
    "transformer.layers.0.self_attn head 7 resample": [
      -8e-4,
      -17e-4,
      2e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image zero": [
      -78e-4,
      -0.0161,
      -1e-3
    ],
    "transformer.layers.0.cross_attn_token_to_image mean": [
      -8e-3,
      -0.0163,
      -1e-3
    ],
    "transformer.layers.0.cross_attn_token_to_image resample": [
      -0.0132,
      -0.0233,
      -42e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 0 zero": [
      -6e-4,
      -22e-4,
      11e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 0 mean": [
      -4e-4,
      -16e-4,
      8e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 0 resample": [
      -2e-3,
      -4e-3,
      -2e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 1 zero": [
      -2e-4,
      -18e-4,
      1e-3
    ],
    "transformer.layers.0.cross_attn_token_to_image head 1 mean": [
      -3e-4,
      -17e-4,
      9e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 1 resample": [
      2e-4,
      -16e-4,
      19e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 2 zero": [
      2e-4,
      -2e-4,
      6e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 2 mean": [
      2e-4,
      -2e-4,
      6e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 2 resample": [
      3e-4,
      -1e-4,
      9e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 3 zero": [
      7e-4,
      -9e-4,
      26e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 3 mean": [
      6e-4,
      -7e-4,
      2e-3
    ],
    "transformer.layers.0.cross_attn_token_to_image head 3 resample": [
      9e-4,
      -8e-4,
      28e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 4 zero": [
      -33e-4,
      -79e-4,
      -2e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 4 mean": [
      -31e-4,
      -77e-4,
      -1e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 4 resample": [
      -44e-4,
      -93e-4,
      -5e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 5 zero": [
      3e-4,
      -8e-4,
      15e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 5 mean": [
      2e-4,
      -8e-4,
      13e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 5 resample": [
      3e-4,
      -13e-4,
      19e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 6 zero": [
      1e-4,
      -7e-4,
      1e-3
    ],
    "transformer.layers.0.cross_attn_token_to_image head 6 mean": [
      0,
      -8e-4,
      9e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 6 resample": [
      -5e-4,
      -22e-4,
      9e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 7 zero": [
      4e-4,
      -8e-4,
      16e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 7 mean": [
      -2e-4,
      -12e-4,
      8e-4
    ],
    "transformer.layers.0.cross_attn_token_to_image head 7 resample": [
      -9e-4,
      -33e-4,
      12e-4
    ],
    "transformer.layers.0.mlp zero": [
      -0.0214,
      -0.0315,
      -0.0135
    ],
    "transformer.layers.0.mlp mean": [
      -9e-3,
      -0.0178,
      -12e-4
    ],
    "transformer.layers.0.mlp resample": [
      -0.0231,
      -0.0341,
      -0.0133
    ],
    "transformer.layers.0.cross_attn_image_to_token zero": [
      -0.274,
      -0.3082,
      -0.2403
    ],
    "transformer.layers.0.cross_attn_image_to_token mean over positions": [
      -0.2367,
      -0.2658,
      -0.2074
    ],
    "transformer.layers.0.cross_attn_image_to_token resample": [
      -0.4894,
      -0.5339,
      -0.4437
    ],
    "transformer.layers.0.cross_attn_image_to_token head 0 zero": [
      -0.0168,
      -0.0282,
      -65e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 0 mean over positions": [
      -0.0193,
      -0.0296,
      -0.0106
    ],
    "transformer.layers.0.cross_attn_image_to_token head 0 resample": [
      -0.0334,
      -0.0433,
      -0.024
    ],
    "transformer.layers.0.cross_attn_image_to_token head 1 zero": [
      -77e-4,
      -0.014,
      -14e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 1 mean over positions": [
      -71e-4,
      -0.0151,
      -4e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 1 resample": [
      -97e-4,
      -0.0186,
      -21e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 2 zero": [
      17e-4,
      -29e-4,
      67e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 2 mean over positions": [
      -2e-4,
      -46e-4,
      44e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 2 resample": [
      -6e-3,
      -0.0121,
      -6e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 3 zero": [
      -44e-4,
      -94e-4,
      2e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 3 mean over positions": [
      -78e-4,
      -0.0148,
      -21e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 3 resample": [
      -0.0103,
      -0.0171,
      -39e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 4 zero": [
      -79e-4,
      -0.0145,
      -29e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 4 mean over positions": [
      -79e-4,
      -0.0143,
      -27e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 4 resample": [
      -6e-3,
      -0.0103,
      -2e-3
    ],
    "transformer.layers.0.cross_attn_image_to_token head 5 zero": [
      -64e-4,
      -0.0107,
      -25e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 5 mean over positions": [
      -72e-4,
      -0.0116,
      -34e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 5 resample": [
      -7e-3,
      -0.0114,
      -33e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 6 zero": [
      -36e-4,
      -84e-4,
      14e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 6 mean over positions": [
      -38e-4,
      -88e-4,
      12e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 6 resample": [
      -48e-4,
      -94e-4,
      -2e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 7 zero": [
      -0.0171,
      -0.0302,
      -61e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 7 mean over positions": [
      -0.0212,
      -0.0359,
      -85e-4
    ],
    "transformer.layers.0.cross_attn_image_to_token head 7 resample": [
      -0.0345,
      -0.0494,
      -0.0211
    ],
    "transformer.layers.1.self_attn zero": [
      -22e-4,
      -53e-4,
      1e-3
    ],
    "transformer.layers.1.self_attn mean": [
      -3e-4,
      -19e-4,
      12e-4
    ],
    "transformer.layers.1.self_attn resample": [
      0,
      -29e-4,
      24e-4
    ],
    "transformer.layers.1.self_attn head 0 zero": [
      -6e-4,
      -16e-4,
      5e-4
    ],
    "transformer.layers.1.self_attn head 0 mean": [
      -0,
      -4e-4,
      3e-4
    ],
    "transformer.layers.1.self_attn head 0 resample": [
      3e-4,
      -5e-4,
      11e-4
    ],
    "transformer.layers.1.self_attn head 1 zero": [
      0,
      -4e-4,
      4e-4
    ],
    "transformer.layers.1.self_attn head 1 mean": [
      2e-4,
      -2e-4,
      7e-4
    ],
    "transformer.layers.1.self_attn head 1 resample": [
      4e-4,
      -1e-4,
      9e-4
    ],
    "transformer.layers.1.self_attn head 2 zero": [
      -18e-4,
      -33e-4,
      -5e-4
    ],
    "transformer.layers.1.self_attn head 2 mean": [
      -0,
      -5e-4,
      5e-4
    ],
    "transformer.layers.1.self_attn head 2 resample": [
      -2e-4,
      -8e-4,
      3e-4
    ],
    "transformer.layers.1.self_attn head 3 zero": [
      0,
      -18e-4,
      18e-4
    ],
    "transformer.layers.1.self_attn head 3 mean": [
      0,
      -2e-4,
      3e-4
    ],
    "transformer.layers.1.self_attn head 3 resample": [
      2e-4,
      -2e-4,
      5e-4
    ],
    "transformer.layers.1.self_attn head 4 zero": [
      -0,
      -3e-4,
      2e-4
    ],
    "transformer.layers.1.self_attn head 4 mean": [
      0,
      -2e-4,
      3e-4
    ],
    "transformer.layers.1.self_attn head 4 resample": [
      -0,
      -4e-4,
      3e-4
    ],
    "transformer.layers.1.self_attn head 5 zero": [
      4e-4,
      -3e-4,
      11e-4
    ],
    "transformer.layers.1.self_attn head 5 mean": [
      4e-4,
      -2e-4,
      13e-4
    ],
    "transformer.layers.1.self_attn head 5 resample": [
      5e-4,
      -1e-4,
      11e-4
    ],
    "transformer.layers.1.self_attn head 6 zero": [
      2e-4,
      -2e-4,
      6e-4
    ],
    "transformer.layers.1.self_attn head 6 mean": [
      -1e-4,
      -5e-4,
      3e-4
    ],
    "transformer.layers.1.self_attn head 6 resample": [
      2e-4,
      -2e-4,
      6e-4
    ],
    "transformer.layers.1.self_attn head 7 zero": [
      -7e-4,
      -16e-4,
      0
    ],
    "transformer.layers.1.self_attn head 7 mean": [
      -2e-4,
      -5e-4,
      1e-4
    ],
    "transformer.layers.1.self_attn head 7 resample": [
      1e-4,
      -4e-4,
      6e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image zero": [
      -0.1772,
      -0.2067,
      -0.1492
    ],
    "transformer.layers.1.cross_attn_token_to_image mean": [
      -0.106,
      -0.1281,
      -0.0854
    ],
    "transformer.layers.1.cross_attn_token_to_image resample": [
      -0.1803,
      -0.2108,
      -0.1495
    ],
    "transformer.layers.1.cross_attn_token_to_image head 0 zero": [
      -87e-4,
      -0.0184,
      -5e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 0 mean": [
      -81e-4,
      -0.0176,
      -1e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 0 resample": [
      -0.0247,
      -0.0365,
      -0.0144
    ],
    "transformer.layers.1.cross_attn_token_to_image head 1 zero": [
      -2e-3,
      -45e-4,
      1e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 1 mean": [
      -0,
      -12e-4,
      12e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 1 resample": [
      -7e-4,
      -26e-4,
      12e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 2 zero": [
      -35e-4,
      -98e-4,
      1e-3
    ],
    "transformer.layers.1.cross_attn_token_to_image head 2 mean": [
      -37e-4,
      -95e-4,
      1e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 2 resample": [
      -31e-4,
      -69e-4,
      6e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 3 zero": [
      -32e-4,
      -62e-4,
      -3e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 3 mean": [
      -9e-4,
      -27e-4,
      7e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 3 resample": [
      -14e-4,
      -45e-4,
      15e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 4 zero": [
      -74e-4,
      -0.012,
      -35e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 4 mean": [
      -9e-3,
      -0.0145,
      -44e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 4 resample": [
      -0.0139,
      -0.0235,
      -67e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 5 zero": [
      -29e-4,
      -6e-3,
      -4e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 5 mean": [
      -11e-4,
      -3e-3,
      6e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 5 resample": [
      -28e-4,
      -59e-4,
      -0
    ],
    "transformer.layers.1.cross_attn_token_to_image head 6 zero": [
      -42e-4,
      -86e-4,
      0
    ],
    "transformer.layers.1.cross_attn_token_to_image head 6 mean": [
      -78e-4,
      -0.0129,
      -29e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 6 resample": [
      -0.0111,
      -0.0195,
      -33e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 7 zero": [
      -17e-4,
      -29e-4,
      -5e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 7 mean": [
      -1e-3,
      -18e-4,
      -1e-4
    ],
    "transformer.layers.1.cross_attn_token_to_image head 7 resample": [
      -5e-4,
      -18e-4,
      9e-4
    ],
    "transformer.layers.1.mlp zero": [
      -0.0373,
      -0.0479,
      -0.0266
    ],
    "transformer.layers.1.mlp mean": [
      -99e-4,
      -0.0158,
      -49e-4
    ],
    "transformer.layers.1.mlp resample": [
      -0.0194,
      -0.03,
      -0.0106
    ],
    "transformer.layers.1.cross_attn_image_to_token zero": [
      -0.2532,
      -0.2766,
      -0.2302
    ],
    "transformer.layers.1.cross_attn_image_to_token mean over positions": [
      -0.3506,
      -0.3835,
      -0.3168
    ],
    "transformer.layers.1.cross_attn_image_to_token resample": [
      -0.6521,
      -0.689,
      -0.6133
    ],
    "transformer.layers.1.cross_attn_image_to_token head 0 zero": [
      1e-4,
      -34e-4,
      29e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 0 mean over positions": [
      12e-4,
      -13e-4,
      37e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 0 resample": [
      -4e-4,
      -33e-4,
      25e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 1 zero": [
      -27e-4,
      -57e-4,
      8e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 1 mean over positions": [
      -1e-3,
      -34e-4,
      14e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 1 resample": [
      -3e-3,
      -61e-4,
      -2e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 2 zero": [
      -77e-4,
      -0.0137,
      -34e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 2 mean over positions": [
      -0.0124,
      -0.0169,
      -84e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 2 resample": [
      -0.0145,
      -0.02,
      -97e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 3 zero": [
      -27e-4,
      -53e-4,
      -2e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 3 mean over positions": [
      -45e-4,
      -74e-4,
      -15e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 3 resample": [
      -64e-4,
      -93e-4,
      -35e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 4 zero": [
      -0.0115,
      -0.0186,
      -53e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 4 mean over positions": [
      -0.0216,
      -0.0276,
      -0.0159
    ],
    "transformer.layers.1.cross_attn_image_to_token head 4 resample": [
      -0.0618,
      -0.078,
      -0.047
    ],
    "transformer.layers.1.cross_attn_image_to_token head 5 zero": [
      -34e-4,
      -73e-4,
      4e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 5 mean over positions": [
      -32e-4,
      -66e-4,
      1e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 5 resample": [
      -5e-3,
      -87e-4,
      -15e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 6 zero": [
      -1e-3,
      -47e-4,
      24e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 6 mean over positions": [
      -15e-4,
      -54e-4,
      21e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 6 resample": [
      -34e-4,
      -69e-4,
      -1e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 7 zero": [
      -24e-4,
      -67e-4,
      1e-3
    ],
    "transformer.layers.1.cross_attn_image_to_token head 7 mean over positions": [
      -53e-4,
      -0.0103,
      -11e-4
    ],
    "transformer.layers.1.cross_attn_image_to_token head 7 resample": [
      -0.0123,
      -0.0192,
      -6e-3
    ],
    "transformer.final_attn_token_to_image zero": [
      -0.0737,
      -0.09,
      -0.0579
    ],
    "transformer.final_attn_token_to_image mean": [
      -0.0268,
      -0.0361,
      -0.0183
    ],
    "transformer.final_attn_token_to_image resample": [
      -0.0505,
      -0.066,
      -0.0361
    ],
    "transformer.final_attn_token_to_image head 0 zero": [
      -59e-4,
      -99e-4,
      -24e-4
    ],
    "transformer.final_attn_token_to_image head 0 mean": [
      -4e-3,
      -69e-4,
      -15e-4
    ],
    "transformer.final_attn_token_to_image head 0 resample": [
      -76e-4,
      -0.0124,
      -35e-4
    ],
    "transformer.final_attn_token_to_image head 1 zero": [
      -4e-4,
      -31e-4,
      25e-4
    ],
    "transformer.final_attn_token_to_image head 1 mean": [
      -18e-4,
      -41e-4,
      7e-4
    ],
    "transformer.final_attn_token_to_image head 1 resample": [
      -1e-4,
      -36e-4,
      36e-4
    ],
    "transformer.final_attn_token_to_image head 2 zero": [
      -0,
      -17e-4,
      2e-3
    ],
    "transformer.final_attn_token_to_image head 2 mean": [
      1e-4,
      -13e-4,
      17e-4
    ],
    "transformer.final_attn_token_to_image head 2 resample": [
      0,
      -23e-4,
      25e-4
    ],
    "transformer.final_attn_token_to_image head 3 zero": [
      -68e-4,
      -0.0128,
      -21e-4
    ],
    "transformer.final_attn_token_to_image head 3 mean": [
      -65e-4,
      -0.0109,
      -29e-4
    ],
    "transformer.final_attn_token_to_image head 3 resample": [
      -81e-4,
      -0.0139,
      -27e-4
    ],
    "transformer.final_attn_token_to_image head 4 zero": [
      -61e-4,
      -0.0118,
      -16e-4
    ],
    "transformer.final_attn_token_to_image head 4 mean": [
      -46e-4,
      -92e-4,
      -7e-4
    ],
    "transformer.final_attn_token_to_image head 4 resample": [
      -62e-4,
      -0.0114,
      -16e-4
    ],
    "transformer.final_attn_token_to_image head 5 zero": [
      -25e-4,
      -69e-4,
      15e-4
    ],
    "transformer.final_attn_token_to_image head 5 mean": [
      -28e-4,
      -59e-4,
      4e-4
    ],
    "transformer.final_attn_token_to_image head 5 resample": [
      -36e-4,
      -8e-3,
      7e-4
    ],
    "transformer.final_attn_token_to_image head 6 zero": [
      -46e-4,
      -79e-4,
      -14e-4
    ],
    "transformer.final_attn_token_to_image head 6 mean": [
      -17e-4,
      -42e-4,
      9e-4
    ],
    "transformer.final_attn_token_to_image head 6 resample": [
      -24e-4,
      -72e-4,
      11e-4
    ],
    "transformer.final_attn_token_to_image head 7 zero": [
      -25e-4,
      -84e-4,
      28e-4
    ],
    "transformer.final_attn_token_to_image head 7 mean": [
      -1e-4,
      -25e-4,
      24e-4
    ],
    "transformer.final_attn_token_to_image head 7 resample": [
      -27e-4,
      -69e-4,
      14e-4
    ],
    "channel 0 zero": [
      -11e-4,
      -23e-4,
      -1e-4
    ],
    "channel 1 zero": [
      -0,
      -15e-4,
      15e-4
    ],
    "channel 2 zero": [
      -5e-3,
      -7e-3,
      -29e-4
    ],
    "channel 3 zero": [
      -0.015,
      -0.0193,
      -0.0108
    ],
    "channel 4 zero": [
      -13e-4,
      -25e-4,
      -1e-4
    ],
    "channel 5 zero": [
      -88e-4,
      -0.0109,
      -68e-4
    ],
    "channel 6 zero": [
      -0.0224,
      -0.0291,
      -0.0157
    ],
    "channel 7 zero": [
      -3e-4,
      -6e-4,
      0
    ],
    "channel 8 zero": [
      -9e-4,
      -18e-4,
      -2e-4
    ],
    "channel 9 zero": [
      -8e-4,
      -14e-4,
      -1e-4
    ],
    "channel 10 zero": [
      -39e-4,
      -57e-4,
      -22e-4
    ],
    "channel 11 zero": [
      -55e-4,
      -79e-4,
      -33e-4
    ],
    "channel 12 zero": [
      -12e-4,
      -18e-4,
      -6e-4
    ],
    "channel 13 zero": [
      1e-4,
      -6e-4,
      9e-4
    ],
    "channel 14 zero": [
      -2e-4,
      -8e-4,
      4e-4
    ],
    "channel 15 zero": [
      -4e-3,
      -54e-4,
      -26e-4
    ],
    "channel 16 zero": [
      -56e-4,
      -73e-4,
      -4e-3
    ],
    "channel 17 zero": [
      -6e-4,
      -15e-4,
      2e-4
    ],
    "channel 18 zero": [
      -59e-4,
      -81e-4,
      -37e-4
    ],
    "channel 19 zero": [
      -11e-4,
      -21e-4,
      -2e-4
    ],
    "channel 20 zero": [
      -4e-3,
      -58e-4,
      -23e-4
    ],
    "channel 21 zero": [
      -7e-4,
      -14e-4,
      -2e-4
    ],
    "channel 22 zero": [
      -7e-4,
      -13e-4,
      -1e-4
    ],
    "channel 23 zero": [
      -4e-4,
      -9e-4,
      0
    ],
    "channel 24 zero": [
      -9e-4,
      -16e-4,
      -3e-4
    ],
    "channel 25 zero": [
      -1e-3,
      -18e-4,
      -2e-4
    ],
    "channel 26 zero": [
      -2e-4,
      -7e-4,
      3e-4
    ],
    "channel 27 zero": [
      -42e-4,
      -62e-4,
      -22e-4
    ],
    "channel 28 zero": [
      -57e-4,
      -77e-4,
      -37e-4
    ],
    "channel 29 zero": [
      -3e-4,
      -1e-3,
      4e-4
    ],
    "channel 30 zero": [
      -33e-4,
      -58e-4,
      -12e-4
    ],
    "channel 31 zero": [
      -8e-3,
      -0.0106,
      -56e-4
    ]
  },
  held_out_clicks: 247,
  held_out_scenes: 100,
  weights: "65d00000084973c1a55515defce6d7e065d07ec34cfac32758115fb1219518e6",
  pages: {
    "00": "00_the_whole_decoder",
    "01": "01_mlp",
    "02": "02_attention",
    "03": "03_prompts_and_positions",
    "04": "04_two_way_block",
    "05": "05_two_way_transformer",
    "06": "06_upscaling",
    "07": "07_hypernetwork",
    "08": "08_mask_decoder",
    "09": "09_from_logits_to_masks",
    "10": "10_make_it_fast"
  }
};

// src/generated.ts
var ATTENTIONS = generated_default.attentions;
var PARTS = generated_default.parts;
var STOPS = generated_default.stops;
var GATES = generated_default.gates;
var SIZES = generated_default.sizes;
var COLOURS = generated_default.colours;
var STEPS = generated_default.steps;
var PAGES = generated_default.pages;
var NOTEBOOKS = generated_default.notebooks;
var EFFECTS = generated_default.effects;
var HELD_OUT = { clicks: generated_default.held_out_clicks, scenes: generated_default.held_out_scenes };
var HEADS = generated_default.heads;
var CHANNELS = generated_default.channels;

// src/parts.ts
var MODES = ["zero", "mean", "resample"];
var BY_NAME = new Map(PARTS.map((part) => [part.name, part]));
function distinct(names) {
  const parts = [...new Set(names)].map((name) => BY_NAME.get(name));
  const steps = new Set(parts.filter(({ head }) => head === null).map(({ step }) => step));
  return parts.filter(({ head, step }) => head === null || !steps.has(step)).map(({ name }) => name);
}
function ablation(part, mode) {
  return `${part.name} ${mode === "mean" && part.of_image ? "mean over positions" : mode}`;
}
function interventions(names, mode, other) {
  return names.flatMap((name) => {
    const part = BY_NAME.get(name);
    return part ? [intervention(part, mode, other)] : [];
  });
}
function intervention(part, mode, other) {
  const mlp = part.step.endsWith(".mlp");
  if (part.head === null && mode === "zero") return { point: `${part.step}.out`, how: "zero" };
  const point = `${part.step}.${mlp ? "hidden" : "heads"}`;
  const select2 = part.head === null ? {} : { select: { heads: [part.head] } };
  if (mode === "resample") return { point, how: "transplant", from: other, ...select2 };
  if (mode === "mean") return { point, how: part.of_image ? "mean_over_positions" : "mean", ...select2 };
  return { point, how: "zero", ...select2 };
}

// src/dom.ts
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === void 0 || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}
function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null));
}
function refill(element, ...children) {
  const wanted = children.filter((child) => child !== null);
  const isThere = wanted.length === element.children.length && wanted.every((child, i) => child.isEqualNode(element.children[i]));
  if (!isThere) element.replaceChildren(...wanted);
}
function tensorTitle(words, tensor, dims, step) {
  return h(
    "h3",
    { "data-tensor": tensor, "data-shape": dims.join(" x ") },
    `${words} `,
    h("code", {}, tensor),
    h("span", { class: "shape" }, ` (${dims.join(" × ")})${step ? `, step ${step}` : ""}`)
  );
}

// src/draw.ts
function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}
var packed = (r, g, b, a = 255) => (a << 24 | b << 16 | g << 8 | r) >>> 0;
var STEPS2 = 2048;
function table(colours) {
  const map = colours.map(rgb);
  return Uint32Array.from({ length: STEPS2 + 1 }, (_, i) => {
    const at = i / STEPS2 * (map.length - 1);
    const low = Math.floor(at), high = Math.min(map.length - 1, low + 1), part = at - low;
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(map[low][c] * (1 - part) + map[high][c] * part));
    return packed(r, g, b);
  });
}
var HEAT = table(COLOURS.heat);
var SIGNED = table(COLOURS.signed);
function blank(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(width, height);
  return { pixels: new Uint32Array(image.data.buffer), put: () => context.putImageData(image, 0, 0) };
}
function drawMap(canvas, data, width, height, stride, scale) {
  const { pixels, put } = blank(canvas, width, height);
  const map = scale.signed ? SIGNED : HEAT;
  const { low, root } = scale;
  const steps = STEPS2 / (scale.high - low || 1);
  for (let y = 0; y < height; y++) {
    for (let x = 0, i = y * width, j = y * stride; x < width; x++) {
      let step = (data[j++] - low) * steps;
      if (root) step = Math.sqrt(step * STEPS2);
      pixels[i++] = map[step > 0 ? step < STEPS2 ? step + 0.5 | 0 : STEPS2 : 0];
    }
  }
  put();
}
function vectors({ dims, data }) {
  if (dims.length === 3) return { data, channels: dims[2], positions: dims[1], ofPosition: dims[2], ofChannel: 1 };
  const positions = dims[2] * dims[3];
  return { data, channels: dims[1], positions, ofPosition: 1, ofChannel: positions };
}
function quantile(all, share) {
  const last = all.reduce((sum, one) => sum + one.length, 0) - 1;
  const at = share * last, low = Math.floor(at);
  const highest2 = new Float32Array(last - low + 1).fill(-Infinity);
  for (const one of all) {
    for (const x of one) {
      if (x <= highest2[0]) continue;
      let i = 0;
      for (; i + 1 < highest2.length && highest2[i + 1] < x; i++) highest2[i] = highest2[i + 1];
      highest2[i] = x;
    }
  }
  const [below, above] = [highest2[0], highest2[Math.min(1, highest2.length - 1)]];
  return Math.max(below + (at - low) * (above - below), 1e-9);
}
function drawColours(canvas, of, width, height, stride, basis) {
  const three = new Float32Array(3 * of.positions), mean = [0, 0, 0];
  const { data, channels, positions, ofPosition, ofChannel } = of;
  const directions = Float64Array.from(basis.directions.flat());
  for (let position = 0; position < positions; position++) {
    let a = 0, b = 0, c = 0;
    for (let channel = 0, i = position * ofPosition, j = 0; channel < channels; channel++, i += ofChannel) {
      const value = data[i];
      a += value * directions[j++];
      b += value * directions[j++];
      c += value * directions[j++];
    }
    three.set([a, b, c], 3 * position);
  }
  for (let i = 0; i < three.length; i++) mean[i % 3] += three[i] / of.positions;
  const { pixels, put } = blank(canvas, width, height);
  const byte = (position, i) => {
    const share = (three[3 * position + i] - mean[i] - basis.low[i]) / (basis.high[i] - basis.low[i]);
    return Math.round(255 * Math.min(1, Math.max(0, share)));
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const position = y * stride + x;
      pixels[y * width + x] = packed(byte(position, 0), byte(position, 1), byte(position, 2));
    }
  }
  put();
}
function scaleBar({ low, high, signed: signed2, root, open }) {
  const bar = document.createElement("div");
  bar.className = "bar";
  const colours = (signed2 ? COLOURS.signed : COLOURS.heat).join(",");
  const strip = document.createElement("span");
  strip.style.background = `linear-gradient(to right, ${colours})`;
  if (root) strip.textContent = number(low + (high - low) / 4);
  bar.append((open && signed2 ? "≤ " : "") + number(low), strip, (open ? "≥ " : "") + number(high));
  bar.dataset.low = String(low);
  bar.dataset.high = String(high);
  return bar;
}
function number(x) {
  const size = Math.abs(x);
  const text = size !== 0 && size < 1e-3 ? size.toExponential(1) : size.toFixed(size < 1 ? 3 : size < 100 ? 2 : 0);
  return (x < 0 ? "−" : "") + text;
}
var DIM = 0.5;
var lights = /* @__PURE__ */ new WeakMap();
function lightOf(bytes) {
  let found = lights.get(bytes);
  if (!found) {
    const count = bytes.length / 3;
    found = { full: new Uint32Array(count), dim: new Uint32Array(count) };
    for (let i = 0; i < count; i++) {
      const r = bytes[3 * i], g = bytes[3 * i + 1], b = bytes[3 * i + 2];
      found.full[i] = packed(r, g, b);
      found.dim[i] = packed(Math.round(DIM * r), Math.round(DIM * g), Math.round(DIM * b));
    }
    lights.set(bytes, found);
  }
  return found;
}
function drawImage(canvas, bytes, width, height, overlays) {
  const { pixels, put } = blank(canvas, width, height);
  const { full, dim } = lightOf(bytes);
  pixels.set(full);
  for (const { mask, dims } of overlays) {
    if (!dims) continue;
    for (let i = 0; i < pixels.length; i++) if (!mask[i]) pixels[i] = dim[i];
  }
  for (const { mask, number: number2, thick: times = 1 } of overlays) {
    const [r, g, b] = rgb(COLOURS.masks[number2]);
    const colour = packed(r, g, b);
    const thick = times * Math.max(1, Math.round(Math.max(width, height) / 220));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const i = y * width + x;
        if (!mask[i]) continue;
        const edge = x < thick || y < thick || x + thick >= width || y + thick >= height || !mask[i - thick] || !mask[i + thick] || !mask[i - thick * width] || !mask[i + thick * width];
        if (edge) pixels[i] = colour;
      }
    }
  }
  put();
}
function drawEdge(canvas, mask, width, height, points) {
  const { pixels, put } = blank(canvas, width, height);
  const white = packed(255, 255, 255, 170);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const right = x + 1 < width ? mask[at + 1] : mask[at], below = y + 1 < height ? mask[at + width] : mask[at];
      if (mask[at] !== right || mask[at] !== below) pixels[at] = white;
    }
  }
  put();
  drawPoints(canvas, points);
}
function drawPoints(canvas, points) {
  const context = canvas.getContext("2d");
  const size = Math.max(canvas.width, canvas.height) / 256;
  for (const [x, y, label] of points) {
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, 5 * size, 0, 7);
    context.lineWidth = 2.5 * size;
    context.strokeStyle = label ? "#5fe08d" : "#ff8f98";
    context.stroke();
  }
}
function drawChange(canvas, bytes, before, after, width, height) {
  const { pixels, put } = blank(canvas, width, height);
  const [lostColour, gainedColour] = [packed(...rgb(COLOURS.lost)), packed(...rgb(COLOURS.gained))];
  let lost = 0, gained = 0;
  for (let i = 0; i < before.length; i++) {
    const kind2 = before[i] + 2 * after[i];
    lost += kind2 === 1 ? 1 : 0;
    gained += kind2 === 2 ? 1 : 0;
    const light = (bytes[3 * i] + bytes[3 * i + 1] + bytes[3 * i + 2]) / 3;
    const grey = Math.round(kind2 === 3 ? 90 + 0.35 * light : 190 + 0.25 * light);
    pixels[i] = kind2 === 1 ? lostColour : kind2 === 2 ? gainedColour : packed(grey, grey, grey);
  }
  put();
  return { lost, gained };
}

// src/strings.ts
var megabytes = (bytes) => (bytes / 1e6).toFixed(1);
var STRINGS = {
  image: "Image",
  positive: "+ point",
  negative: "− point",
  boxTool: "Box",
  follow: "Follow",
  followLong: "Let the point follow the pointer",
  undo: "Undo",
  clear: "Clear",
  copyLink: "Copy link",
  copyPython: "Copy as Python",
  copied: "Copied.",
  notCopied: "This browser does not allow copying. The text stands below.",
  canvasLabel: "The image. Arrow keys move a cursor, with Shift by ten pixels; Enter sets a point of the chosen kind there; Backspace takes the last point away.",
  cursor: (x, y) => `Cursor at x ${x}, y ${y}.`,
  promptsNow: (points, box) => `${points} ${points === 1 ? "point" : "points"}${box ? " and a box" : ""} on the image.`,
  outside: "That is outside the image. Nothing was set.",
  tooManyPoints: "20 points are the most that can be set here.",
  noPrompt: "Set a point or draw a box to get masks.",
  maskName: (number2) => `mask ${number2}`,
  chooseMask: "Choose a mask; all panels show it.",
  byRule: (mask) => `Mask ${mask} is chosen: for one point, that of masks 1 to 3 with the highest predicted IoU.`,
  byRuleMany: (mask) => `Mask ${mask} is chosen: it is the one for several points or a box.`,
  bySetting: (mask) => `Mask ${mask} is set.`,
  intact: "Above: masks with nothing ablated.",
  trueIou: "True IoU: with the best ground-truth mask at the first point.",
  noTruth: "True IoU: no ground-truth mask is known at the first point.",
  withoutTransplant: "Above: masks without the transplant.",
  keys: "Keys: arrows move a cursor (with Shift by ten), Enter sets a point, Backspace takes the last one away, + and − choose its kind.",
  predicted: "predicted IoU",
  truth: "true IoU",
  coversOf: (share) => `${(100 * share).toFixed(1)} % of the image`,
  maskRole: [
    "for several points or a box",
    "for one ambiguous prompt",
    "for one ambiguous prompt",
    "for one ambiguous prompt"
  ],
  computedNow: (milliseconds) => `computed now, ${milliseconds.toFixed(0)} ms`,
  storedHere: "computed before, loaded with the page",
  heldOut: (clicks, scenes) => `over ${clicks} held-out clicks on ${scenes} scenes`,
  choose: (number2) => `Show mask ${number2} in all panels`,
  panels: {
    masks: "Masks",
    attention: "Who looks where",
    channels: "Mixing desk",
    switches: "Switchboard",
    clicks: "Two clicks",
    own: "Your own image"
  },
  notebook: (number2) => `Explained in notebook ${number2}`,
  computing: "Computing …",
  // Loading
  loading: (loaded, total) => total ? `Loading the model: ${megabytes(loaded)} of ${megabytes(total)} MB.` : "Loading the model.",
  preparing: "The model is here and is being prepared.",
  tiny: "The model is the tiny one of this series, which was trained on drawings alone.",
  ready: "The model is ready. It runs in this page; nothing leaves it.",
  readyPython: "Python computes.",
  failed: (message) => `The model could not be loaded: ${message} Reload the page to try again.`,
  workerFailed: "the browser could not start it.",
  notNeeded: "the second worker is not needed.",
  fileMissing: (name, status) => `The file ${name} did not arrive (status ${status}).`,
  fileDamaged: (name) => `The file ${name} arrived damaged.`,
  noFiles: "This page was opened as a file. A browser loads the model only from a server: run python -m sam_edu explore, or open the page on the web.",
  noImage: (id) => `There is no image named ${id}.`,
  otherTokens: (theirs, ours) => `The other prompt makes ${theirs} tokens and this one ${ours}. Give both as many points.`,
  noMean: (point) => `No mean over held-out clicks is stored for ${point}.`,
  meanOfClicks: "The stored means are those of single clicks. Set one point, without a box.",
  problem: (message) => `That did not work: ${message}`,
  // Masks
  masksLead: "Masks 1 to 3 are three answers to one ambiguous click, such as a part and the whole. Mask 0 is for prompts of several points or a box. The decoder always computes all four, and for each its predicted IoU: its own estimate of how well the mask fits (intersection over union; 1 is a perfect fit). For one point, the one of masks 1 to 3 with the highest predicted IoU is chosen; for several points or a box, mask 0.",
  masksTensor: "The mask logits",
  logitAt: (x, y, logit) => `logit ${fixed(logit, 2)} at x ${x}, y ${y}`,
  hoverLogits: "Point at the map: the logit there. Above 0 is inside the mask.",
  // Attention
  attentionLead: "Each attention has 8 heads. A map shows how one token distributes its attention over the 64 × 64 image tokens; a head's weights sum to 1. The values there, so weighted and summed, go through a linear layer and are added to the token. The line is the edge of the chosen mask.",
  attentionImageLead: "Here the image attends to the tokens. A map shows how much each position attends to the chosen token; the tokens' values, so weighted and summed, go through a linear layer and are added to the image token there. The line is the edge of the chosen mask.",
  attentionSelfLead: "Here the tokens attend to each other. A row is a token that attends, a column one that it attends to; the weights of a row sum to 1.",
  pair: (from, to) => `Weights of ${from} for ${to}, head 0 to 7`,
  hoverPair: "Point at a matrix: the weights of that pair.",
  attentionOf: "Attention",
  token: "Token",
  tokensAre: "The tokens: IoU (its output becomes the predicted IoU), mask 0 to 3 (the output of each becomes the weights of its mask), then those of the prompt; padding stands there where no box is given.",
  scale: "Colours",
  scaleShared: "one scale for all heads (square root)",
  scaleHead: "a scale for each head (square root)",
  head: (number2) => `head ${number2}`,
  listens: (x, y) => `What the position at x ${x}, y ${y} attends to, mean of the heads`,
  hoverImage: "Point at a map: the weights of that position.",
  weightsAt: (x, y) => `Weights of the position at x ${x}, y ${y}, head 0 to 7`,
  attentionOption: (step, block, kind2) => `${step} ${block === null ? "last" : `block ${block}`}: ${kind2}`,
  kinds: { self: "tokens to tokens", tokens: "tokens to image", image: "image to tokens" },
  // Channels
  channelsLead: "A mask is a weighted sum of 32 channels. They are the image tokens, upscaled: two transposed convolutions make 4 × 4 pixels of each token, with 32 numbers each. The weights come from the mask token, through an MLP (the hypernetwork). A term raises the logit where channel and weight have the same sign, so blue times a negative weight speaks for inside. Move a weight, mute a channel, or sum only the first ones.",
  channelsSum: (count) => `Sum only the channels with the largest contribution: ${count} of 32`,
  channel: (number2) => `channel ${number2}`,
  weight: "weight",
  average: "without it, on average: IoU",
  mute: "mute",
  muted: (number2) => `Mute channel ${number2}`,
  moved: "Weights as computed",
  termsAt: (x, y, sum) => `The 32 terms at x ${x}, y ${y}; their sum, the logit, is ${fixed(sum, 2)}`,
  hoverTerms: "Point at the mask to see the 32 terms of that pixel.",
  showAll: "Show all 32 channels",
  showFew: "Show the first 8 channels",
  contributionIs: "The bar below a channel's name is its contribution: the mean size of its term, weight times value, over the image.",
  mutedEffect: "“Without it, on average” is the mean change of the IoU of the best of masks 1 to 3 with the target when the channel is zero, and its 95 % interval,",
  changed: (iou2) => `IoU with the mask of all computed weights: ${iou2.toFixed(3)}`,
  // Switches
  switchesLead: "Ablate a step or a head: replace its output, and see what the masks lose. Three replacements: zero; its mean over held-out clicks, on images that training never saw; or its output at a click on another image (resample).",
  switchesEffect: "Mean change of the IoU of the best of masks 1 to 3 with the target, and its 95 % interval",
  oneClick: "One click is an example. What a part does on average is in the table below.",
  unchanged: "with the mask before",
  mode: { zero: "zero", mean: "mean", resample: "resample" },
  modeLong: { zero: "zero", mean: "its mean", resample: "its output at another click" },
  lostGained: (lost, gained) => `pixels: ${lost} lost, ${gained} gained`,
  tooFewToSee: "too few to be seen at this size",
  legend: "yellow: gained; dark red: lost; dark grey: in both",
  nothingOff: "Nothing is ablated.",
  offIn: (names, mode) => `Ablated: ${names}; replaced by ${mode}.`,
  step: (number2, block) => `${number2} ${block === null ? "" : `block ${block}`}`.trim(),
  stepKind: {
    self_attn: "self-attention of the tokens",
    cross_attn_token_to_image: "tokens attend to the image",
    mlp: "MLP",
    cross_attn_image_to_token: "image attends to the tokens",
    final_attn_token_to_image: "tokens attend to the image, last"
  },
  singleClick: "mean and resample need exactly one point and no box, as the held-out clicks are.",
  allOn: "Ablate nothing",
  interval: (mean, low, high) => `${signed(mean)} (${signed(low)} to ${signed(high)})`,
  heads: "heads",
  off: (name) => `Ablate ${name}`,
  severalOff: "For several parts at once no effect over held-out clicks is stored.",
  // Two clicks
  clicksLead: "Keep this prompt, then click elsewhere. From which step on do the two differ? Then take the keys and values of one attention from the kept prompt.",
  nowElsewhere: "Now click elsewhere: the next click replaces the point.",
  freeze: "Keep this prompt",
  release: "Forget the kept prompt",
  kept: (mask) => `Kept prompt, mask ${mask}`,
  current: (mask) => `This prompt, mask ${mask}`,
  withTransplant: (mask) => `This prompt with the transplant, mask ${mask}`,
  streams: "The two streams side by side, stop by stop, without a transplant. The 64 × 64 image tokens are drawn as maps. On the right is how far the two are apart: 0 is equal, and 1 is a difference as long as the vectors themselves (for a, b: |a − b| divided by the mean of |a| and |b|).",
  stopName: (name, block) => block === null ? name : `${name} block ${block}`,
  weightsOfMasks: "weights of each mask",
  tokensAfter: (step) => step ? `tokens after step ${step}` : "tokens put together",
  stopShows: (tensor, step, reader, mask) => {
    if (tensor.endsWith(".weights")) return `what ${reader} attends to in step ${step}, mean of the heads`;
    if (tensor === "src" || tensor.endsWith("keys_4")) return "image tokens";
    if (tensor === "hyper_in") return `weights of the 32 channels for mask ${mask}`;
    return tensor === "masks" ? `logits of mask ${mask}` : "32 channels, mean over each image token's 4 × 4 pixels";
  },
  streamColours: "Colours of image tokens and of the channels: three directions in which those of the example vary most (PCA), one basis for all stops. Equal colours can hide a difference in other directions; the right column shows it.",
  attentionBar: "Attention (square root):",
  fieldBar: "Distance of the vectors at a position:",
  logitBar: "Logits:",
  keptShort: "kept prompt",
  currentShort: "this prompt",
  apart: "apart",
  equal: "equal",
  meanApart: (mean) => `mean over the positions ${fixed(mean, 2)}`,
  masksIou: (value) => `IoU of the two masks ${value.toFixed(3)}`,
  otherTokenCount: "another number of tokens",
  transplantNone: "nothing transplanted",
  transplant: "Keys and values from the kept click in",
  transplanted: (iouOwn, iouOther) => `IoU with this prompt's own mask ${iouOwn.toFixed(3)}, with the kept prompt's mask ${iouOther.toFixed(3)}`,
  differentTokens: "The two prompts make different numbers of tokens, so their tokens cannot be compared. Give both as many points.",
  // Own image
  ownLead: "Drop, paste or choose an image. It stays in this page. This model was trained on drawings, not on photographs: expect it to do worse there.",
  ownChoose: "Choose an image",
  ownTake: "Take a photograph",
  ownDrop: "Drop an image here, or paste one.",
  ownLoaded: (width, height) => `Your image is set, ${width} × ${height} pixels.`,
  ownExamples: "How the model does on other images",
  ownTitle: "your image",
  notAnImage: (type) => `This is a file of type ${type}, not an image. Choose a PNG, JPEG or WebP.`,
  brokenImage: "This file could not be read as an image. It may be damaged, or of a kind that this browser does not know.",
  tooSmall: (width, height) => `This image has ${width} × ${height} pixels. It needs at least 8 × 8.`,
  tooLarge: (width, height) => `This image has ${width} × ${height} pixels. Make it smaller first: 40 megapixels are the most.`,
  noFile: "No image was found in what you dropped or pasted.",
  ownLost: "The link was made on someone's own image, which is not in the link. This is the example instead.",
  pythonImage: "the path of your image",
  // The map
  map: "Map of the decoder",
  mapStart: "click",
  mapEnd: "masks",
  block: (number2) => `block ${number2}`,
  product: "product",
  mapWords: {
    upscaling: "upscaling to 32 channels",
    weights: "weights of the channels",
    masks: "mask logits"
  },
  stepShort: {
    self_attn: "tokens read tokens",
    cross_attn_token_to_image: "tokens read image",
    mlp: "MLP",
    cross_attn_image_to_token: "image reads tokens",
    final_attn_token_to_image: "tokens read image"
  },
  mapShort: { "(5)": "channels", "(6-2)": "weights", "(6-3)": "masks" },
  // Tour
  tour: "Begin the tour",
  next: "Next",
  back: "Back",
  predictFirst: "Predict first",
  reveal: "Show it",
  foundScores: (scores) => `Three: their predicted IoU is ${scores.map((score) => score.toFixed(3)).join(", ")}.`,
  foundScore: (before, after) => before === null ? `With both points it is ${after.toFixed(3)}.` : `It ${after < before ? "falls" : "rises"}: ${before.toFixed(3)} with the one click, ${after.toFixed(3)} with both points.`,
  foundLooks: (inside, area2) => `On this click, ${(100 * inside).toFixed(0)} % of the weight, mean of the heads, lies on the flower (mask 3), which covers ${(100 * area2).toFixed(0)} % of the image.`,
  foundAttends: (first) => `On this click, the flower's positions give the most weight to ${first.map(([name, share, elsewhere]) => `${name} (${(100 * share).toFixed(0)} %; elsewhere it gets ${(100 * elsewhere).toFixed(0)} %)`).join(", then to ")}; mean of the heads.`,
  foundChannels: (count, enough) => count ? `On this click, ${count} channels give a mask with IoU ${enough} or more with that of all 32.` : "",
  foundEffect: (mean, resample) => `Over the held-out clicks, the IoU of the best of masks 1 to 3 changes by ${STRINGS.interval(...mean)} with the mean in its place, and by ${STRINGS.interval(...resample)} with another click's output (95 % intervals).`,
  stopOf: (stop, stops) => `Stop ${stop} of ${stops}`,
  stops: [
    {
      title: "One click, several answers",
      question: "One click on the middle of a flower. What may it mean: its innermost disc, its middle, the whole flower? How many masks should a model return?",
      answer: "Masks 1 to 3 are three answers to the same click, each with a predicted IoU. Choose each of them below the image."
    },
    {
      title: "The logits behind a mask",
      question: "A mask is yes or no at each pixel. What does the decoder compute there before it decides?",
      answer: "A logit: a number of any sign. Where it is above 0 the pixel belongs to the mask. Point at the map and read it."
    },
    {
      title: "A second point",
      question: "A negative point says: not this. Will the predicted IoU of mask 0 rise or fall?",
      answer: "Mask 0 is the mask for several points or a box. Take the point away with Undo, and compare."
    },
    {
      title: "Seven tokens",
      question: "The click has become a token, one of seven. Which tokens can it exchange something with in the first step?",
      answer: "In step (1) every token attends to every token. A row of a matrix is one token; its weights sum to 1."
    },
    {
      title: "Tokens look at the image",
      question: "Step (2): where will the click's token look? At the clicked position alone, at the whole object, or somewhere else?",
      answer: "Read the eight maps one by one, then choose another token and compare. What heads do over many clicks is measured in the notebook."
    },
    {
      title: "The image attends, too",
      question: "Step (4) turns it round: each position of the image attends to the tokens. To which token does the object attend most?",
      answer: "Point at a map: the bars show what that position attends to. Choose another token to see its maps."
    },
    {
      title: "32 channels make a mask",
      question: "Each mask is a weighted sum of the same 32 channels. How many of them does it take until the mask is there?",
      answer: "The slider stands at 4: move it to 32, one by one, and watch the IoU with the whole sum."
    },
    {
      title: "Ablate a step",
      question: "Without the step by which tokens look at the image in block 0: will the mask be lost?",
      answer: "Compare the three replacements, then read the effect over the held-out clicks: one click is an example."
    },
    {
      title: "Two clicks",
      question: "Two clicks on the same image. After which step do the image tokens differ for the first time?",
      answer: "The tokens differ from the start, as the click is one of them. The image tokens differ first after step (4) of block 0, the first step that writes to them."
    },
    {
      title: "Your turn",
      question: "Will it work on a photograph of yours, although this model has seen drawings alone?",
      answer: "Try it. The image stays in this page."
    }
  ]
};
function signed(x) {
  const digits = Math.abs(x).toFixed(3);
  return `${Number(digits) === 0 ? "" : x > 0 ? "+" : "−"}${digits}`;
}
function fixed(x, digits) {
  return x.toFixed(digits).replace("-", "−");
}

// src/images.ts
var LONGEST = 1024;
var MOST_PIXELS = 4e7;
var ImageError = class extends Error {
};
async function readImage(file) {
  if (file.type && !file.type.startsWith("image/")) throw new ImageError(STRINGS.notAnImage(file.type));
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new ImageError(STRINGS.brokenImage);
  }
  const { width, height } = bitmap;
  try {
    if (width < 8 || height < 8) throw new ImageError(STRINGS.tooSmall(width, height));
    if (width * height > MOST_PIXELS) throw new ImageError(STRINGS.tooLarge(width, height));
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    const [w, h2] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    return draw(bitmap, w, h2);
  } finally {
    bitmap.close();
  }
}
function draw(bitmap, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb2 = new Uint8Array(3 * width * height);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb2[j++] = rgba[i];
    rgb2[j++] = rgba[i + 1];
    rgb2[j++] = rgba[i + 2];
  }
  return { width, height, rgb: rgb2 };
}
function inputSize(width, height, frame) {
  const scale = frame / Math.max(width, height);
  return [Math.max(1, Math.floor(width * scale + 0.5)), Math.max(1, Math.floor(height * scale + 0.5))];
}

// src/latest.ts
var Latest = class {
  constructor(work) {
    this.work = work;
  }
  work;
  running = false;
  pending = null;
  /** How many were dropped. */
  dropped = 0;
  /** Do it now, or after what is running; replaces what waits. */
  ask(given) {
    if (this.pending) this.dropped++;
    this.pending = { given };
    if (!this.running) void this.run();
  }
  get busy() {
    return this.running;
  }
  async run() {
    this.running = true;
    while (this.pending) {
      const { given } = this.pending;
      this.pending = null;
      await this.work(given, () => this.pending === null);
    }
    this.running = false;
  }
};

// src/map.ts
var places = [
  ...[0, 1].map((block) => ({
    group: STRINGS.block(block),
    places: PARTS.filter((part) => part.block === block && part.head === null).map((part) => placeOf(part.step, part.number))
  })),
  { group: "", places: [placeOf("transformer.final_attn_token_to_image", "(6-1)")] },
  {
    group: STRINGS.product,
    places: [
      panelPlace("(5)", STRINGS.mapWords.upscaling, "channels"),
      panelPlace("(6-2)", STRINGS.mapWords.weights, "channels"),
      panelPlace("(6-3)", STRINGS.mapWords.masks, "masks")
    ]
  }
];
function placeOf(step, number2) {
  const attention2 = ATTENTIONS.some(({ path }) => path === step);
  return {
    words: number2,
    short: STRINGS.stepShort[step.split(".").at(-1)],
    title: STRINGS.stepKind[step.split(".").at(-1)],
    step,
    opens: (state) => attention2 ? { panel: "attention", attention: { ...state.attention, of: step } } : { panel: "switches" },
    isOpen: (state) => attention2 && state.panel === "attention" && state.attention.of === step
  };
}
function panelPlace(words, title, panel) {
  return { words, short: STRINGS.mapShort[words], title, step: null, opens: () => ({ panel }), isOpen: (state) => state.panel === panel };
}
function decoderMap(app) {
  const element = h("nav", { class: "decoder-map", "aria-label": STRINGS.map });
  const all = [];
  const arrow = () => h("span", { class: "arrow", "aria-hidden": "true" }, "→");
  fill(
    element,
    h("span", { class: "end" }, STRINGS.mapStart),
    ...places.flatMap(({ group, places: inside }) => [
      arrow(),
      h(
        "span",
        { class: "group" },
        group ? h("small", {}, group) : null,
        ...inside.map((place) => {
          const button = h("button", {
            type: "button",
            title: place.title,
            "aria-label": `${group} ${place.words}: ${place.title}`.trim(),
            onclick: () => app.set(place.opens(app.state))
          }, place.words, h("small", {}, place.short));
          all.push({ place, button });
          return button;
        })
      )
    ]),
    arrow(),
    h("span", { class: "end" }, STRINGS.mapEnd)
  );
  return {
    element,
    draw() {
      for (const { place, button } of all) {
        button.setAttribute("aria-pressed", String(place.isOpen(app.state)));
        const off = place.step !== null && app.state.off.some((name) => name === place.step || name.startsWith(`${place.step} `));
        button.dataset.off = String(off);
      }
    }
  };
}

// src/masks.ts
function interpolate(map, width, height, stride, outWidth, outHeight) {
  const out = new Float32Array(outWidth * outHeight);
  const positions = (size, outSize) => {
    const low = new Int32Array(outSize), high = new Int32Array(outSize), share = new Float32Array(outSize);
    for (let i = 0; i < outSize; i++) {
      const at = Math.max(0, (i + 0.5) * size / outSize - 0.5);
      low[i] = Math.min(size - 1, Math.floor(at));
      high[i] = Math.min(size - 1, low[i] + 1);
      share[i] = at - low[i];
    }
    return [low, high, share];
  };
  const [x0, x1, fx] = positions(width, outWidth);
  const [y0, y1, fy] = positions(height, outHeight);
  for (let y = 0; y < outHeight; y++) {
    const top = y0[y] * stride, below = y1[y] * stride, v = fy[y];
    for (let x = 0; x < outWidth; x++) {
      const u = fx[x], a = x0[x], b = x1[x];
      const above = map[top + a] * (1 - u) + map[top + b] * u;
      const under = map[below + a] * (1 - u) + map[below + b] * u;
      out[y * outWidth + x] = above * (1 - v) + under * v;
    }
  }
  return out;
}
function enlarge(logits, side, frame, width, height) {
  const framed = side === frame ? logits : interpolate(logits, side, side, side, frame, frame);
  const [w, h2] = inputSize(width, height, frame);
  if (w === width && h2 === height && w === frame && h2 === frame) return framed;
  return interpolate(framed, w, h2, frame, width, height);
}
function logitEnd(all) {
  let most = 0, size = 1e-9;
  for (const logits of all) {
    for (const x of logits) {
      if (x > most) most = x;
      if (-x > size) size = -x;
    }
  }
  return most ? Math.min(2 * most, size) : size;
}
function threshold(logits) {
  const out = new Uint8Array(logits.length);
  for (let i = 0; i < logits.length; i++) out[i] = logits[i] > 0 ? 1 : 0;
  return out;
}
function iou(a, b) {
  let both = 0, either = 0;
  for (let i = 0; i < a.length; i++) {
    both += a[i] & b[i];
    either += a[i] | b[i];
  }
  return either ? both / either : 1;
}
function area(mask) {
  let sum = 0;
  for (const pixel of mask) sum += pixel;
  return sum;
}
function unpack(bytes, count, width, height) {
  const row2 = Math.ceil(width / 8);
  return Array.from({ length: count }, (_, n) => {
    const out = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        out[y * width + x] = bytes[(n * height + y) * row2 + (x >> 3)] >> 7 - (x & 7) & 1;
      }
    }
    return out;
  });
}

// src/state.ts
var PANELS = ["masks", "attention", "channels", "switches", "clicks", "own"];
var START = {
  image: "example",
  points: [],
  box: null,
  mask: null,
  panel: "masks",
  attention: { of: ATTENTIONS[1].path, token: 5, scale: "shared" },
  weights: {},
  channels: 32,
  off: [],
  mode: "mean",
  other: null,
  transplant: "",
  stop: 0
};
function toHash(state) {
  const given = Object.entries(state).filter(([key3, value]) => {
    return JSON.stringify(value) !== JSON.stringify(START[key3]);
  });
  return given.length ? "#" + encodeURIComponent(JSON.stringify(Object.fromEntries(given))) : "";
}
function fromHash(hash) {
  let given = {};
  try {
    const parsed = JSON.parse(decodeURIComponent(hash.replace(/^#/, "")) || "{}");
    if (parsed && typeof parsed === "object" && !Array.isArray(parsed)) given = parsed;
  } catch {
  }
  const state = structuredClone(START);
  const number2 = (x, low, high) => {
    return typeof x === "number" && Number.isFinite(x) && x >= low && x <= high;
  };
  const whole = (x, low, high) => number2(x, low, high) && Number.isInteger(x);
  const one = (x, of) => of.includes(x);
  const clicks = (x) => {
    return Array.isArray(x) && x.length <= 20 && x.every((c) => {
      return Array.isArray(c) && c.length === 3 && c.every((n) => number2(n, 0, 1e5)) && (c[2] === 0 || c[2] === 1);
    });
  };
  const box = (x) => {
    return Array.isArray(x) && x.length === 4 && x.every((n) => number2(n, 0, 1e5)) && x[0] < x[2] && x[1] < x[3];
  };
  if (typeof given.image === "string") state.image = given.image;
  if (clicks(given.points)) state.points = given.points;
  if (box(given.box)) state.box = given.box;
  if (whole(given.mask, 0, 3)) state.mask = given.mask;
  if (one(given.panel, PANELS)) state.panel = given.panel;
  if (given.attention && typeof given.attention === "object") {
    const { of, token, scale } = given.attention;
    if (one(of, ATTENTIONS.map((attention2) => attention2.path))) state.attention.of = of;
    if (whole(token, 0, 60)) state.attention.token = token;
    if (one(scale, ["shared", "per head"])) state.attention.scale = scale;
  }
  if (given.weights && typeof given.weights === "object") {
    for (const [channel, weight] of Object.entries(given.weights)) {
      if (whole(Number(channel), 0, 31) && number2(weight, -1e3, 1e3)) state.weights[channel] = weight;
    }
  }
  if (whole(given.channels, 1, 32)) state.channels = given.channels;
  if (Array.isArray(given.off)) state.off = distinct(given.off.filter((name) => BY_NAME.has(name)));
  if (one(given.mode, MODES)) state.mode = given.mode;
  if (given.other && typeof given.other === "object") {
    const other = given.other;
    const points = clicks(other.points) ? other.points : [];
    const around = box(other.box) ? other.box : null;
    if (points.length || around) state.other = { points, box: around };
  }
  if (one(given.transplant, ATTENTIONS.map((attention2) => attention2.path))) state.transplant = given.transplant;
  if (whole(given.stop, 0, 20)) state.stop = given.stop;
  return state;
}
function promptsOf(state) {
  return { points: state.points, box: state.box };
}
function tokenNames(prompts) {
  const clicks = prompts.points.map(([, , label], i) => `click ${i + 1} ${label ? "+" : "−"}`);
  const rest = prompts.box ? ["corner 1", "corner 2"] : ["padding"];
  return ["IoU", "mask 0", "mask 1", "mask 2", "mask 3", ...clicks, ...rest];
}
function isEmpty(prompts) {
  return prompts.points.length === 0 && prompts.box === null;
}

// src/panels/shared.ts
function notebookLink(app, number2) {
  const { pages } = app.options;
  return pages ? h("p", { class: "notebook" }, h("a", { href: `${pages}notebooks/${PAGES[number2]}.html` }, STRINGS.notebook(number2))) : null;
}
function onPosition(canvas, size, act) {
  canvas.addEventListener("pointermove", (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const { width: w, height: h_ } = size();
    const x = Math.floor((event.clientX - left) * w / width), y = Math.floor((event.clientY - top) * h_ / height);
    if (x >= 0 && y >= 0 && x < w && y < h_) act(x, y);
  });
}
function gridSize(app) {
  const { frame, grid } = app.catalogue;
  const [width, height] = inputSize(app.shown.info.width, app.shown.info.height, frame);
  return { width: Math.ceil(width * grid / frame), height: Math.ceil(height * grid / frame) };
}
function maskOf(app, { masks }, number2) {
  const { frame, grid } = app.catalogue, { width, height } = app.shown.info;
  const side = 4 * grid, size = side * side;
  return threshold(enlarge(masks.data.subarray(number2 * size, (number2 + 1) * size), side, frame, width, height));
}
function meanOfHeads({ dims, data }, token) {
  const [, heads, queries, keys] = dims;
  const mean = new Float32Array(keys);
  for (let head = 0; head < heads; head++) {
    const start = (head * queries + token) * keys;
    for (let key3 = 0; key3 < keys; key3++) mean[key3] += data[start + key3] / heads;
  }
  return mean;
}
function select(label, name, options, chosen2, choose) {
  const list = h("select", { name, onchange: () => choose(list.value) });
  let shown = "";
  const update = (given = options) => {
    const key3 = JSON.stringify(given);
    if (key3 !== shown) list.replaceChildren(...given.map(([value, words]) => h("option", { value }, words)));
    shown = key3;
    list.value = chosen2();
  };
  update();
  return { element: h("label", { class: "choice" }, `${label} `, list), update };
}
function bars(names, values, signed2, end) {
  const words = (value) => signed2 ? fixed(value, 2) : `${(100 * value).toPrecision(2)} %`;
  const most = end ?? Math.max(...Array.from(values, Math.abs), 1e-9);
  return h(
    "dl",
    { class: signed2 ? "bars signed" : "bars" },
    ...names.flatMap((name, i) => {
      const value = values[i];
      const share = Math.abs(value) / most;
      return [
        h("dt", {}, name),
        h(
          "dd",
          { "data-value": value },
          h("span", { class: value < 0 ? "negative" : "positive", style: `--share: ${share}` }),
          h("small", {}, words(value))
        )
      ];
    })
  );
}

// src/panels/attention.ts
function chosen(app) {
  return ATTENTIONS.find(({ path }) => path === app.state.attention.of);
}
function kind({ queries, keys }) {
  return queries === "image" ? STRINGS.kinds.image : keys === "image" ? STRINGS.kinds.tokens : STRINGS.kinds.self;
}
function mapOf(weights, attention2, head, token) {
  const [, , queries, keys] = weights.dims;
  const start = head * queries * keys;
  if (attention2.queries === "tokens") return weights.data.subarray(start + token * keys, start + (token + 1) * keys);
  return Float32Array.from({ length: queries }, (_, query) => weights.data[start + query * keys + token]);
}
var attentionPanel = {
  outputs: (state) => [`${state.attention.of}.weights`],
  view(app) {
    const setAttention = (change) => {
      app.set({ attention: { ...app.state.attention, ...change } });
    };
    const which = select(
      STRINGS.attentionOf,
      "attention",
      ATTENTIONS.map((one) => [one.path, STRINGS.attentionOption(one.step, one.block, kind(one))]),
      () => app.state.attention.of,
      (of) => setAttention({ of })
    );
    const token = select(STRINGS.token, "token", [], () => String(app.state.attention.token), (value) => setAttention({ token: Number(value) }));
    const scale = select(
      STRINGS.scale,
      "scale",
      [["shared", STRINGS.scaleShared], ["per head", STRINGS.scaleHead]],
      () => app.state.attention.scale,
      (value) => setAttention({ scale: value })
    );
    const title = h("div"), lead = h("p"), bar = h("div"), link = h("div");
    const heads = Array.from({ length: HEADS }, (_, head) => {
      const canvas = h("canvas", { class: "map", role: "img", "data-head": head });
      const over = h("canvas", { class: "over", "aria-hidden": "true" });
      const axis = (kind2) => h("div", { class: kind2, "aria-hidden": "true" });
      const [rows, columns] = [axis("rows"), axis("columns")];
      const caption = h("figcaption", {}, STRINGS.head(head));
      const figure = h("figure", {}, rows, h("div", { class: "under" }, canvas, over), columns, caption);
      return { canvas, over, rows, columns, bar: h("div"), figure };
    });
    const readOut = h("div", { class: "read-out" }), tokens = h("div"), pair = h("div");
    const empty = h("p", { class: "empty" }, STRINGS.noPrompt);
    const maps = h("div", { class: "heads" });
    const element = h(
      "div",
      {},
      h("div", { class: "choices" }, which.element, token.element, scale.element),
      lead,
      title,
      empty,
      tokens,
      maps,
      bar,
      readOut,
      pair,
      h("p", { class: "caution" }, STRINGS.tokensAre),
      link
    );
    maps.append(...heads.map(({ figure }) => figure));
    let shownFor = "";
    heads.forEach(({ canvas, figure, bar: own }) => {
      figure.append(own);
      onPosition(figure.querySelector(".under"), () => ({ width: canvas.width, height: canvas.height }), (x, y) => hover(x, y));
    });
    function hover(x, y) {
      const attention2 = chosen(app), weights = app.answer?.tensors[attention2.tensor];
      if (!weights) return;
      const { grid, frame } = app.catalogue;
      const [, , queries, keys] = weights.dims;
      if (attention2.queries === "tokens" && attention2.keys === "tokens") {
        const names = tokenNames(promptsOf(app.state));
        const values = heads.map((_, head) => weights.data[(head * queries + y) * keys + x]);
        fill(pair, STRINGS.pair(names[y], names[x]), bars(values.map((_, head) => STRINGS.head(head)), values, false));
        return;
      }
      const position = y * grid + x, pixel = frame / grid;
      const [px, py] = [Math.round((x + 0.5) * pixel), Math.round((y + 0.5) * pixel)];
      if (attention2.queries === "image") {
        const names = tokenNames(promptsOf(app.state));
        const mean = names.map((_, key3) => {
          let sum = 0;
          for (let head = 0; head < HEADS; head++) sum += weights.data[(head * queries + position) * keys + key3];
          return sum / HEADS;
        });
        fill(readOut, STRINGS.listens(px, py), bars(names, mean, false));
      } else {
        const values = heads.map((_, head) => weights.data[(head * queries + app.state.attention.token) * keys + position]);
        fill(readOut, STRINGS.weightsAt(px, py), bars(values.map((_, head) => STRINGS.head(head)), values, false));
      }
    }
    return {
      element,
      draw() {
        const attention2 = chosen(app);
        const names = tokenNames(promptsOf(app.state));
        which.update();
        token.update(names.map((name, i) => [String(i), name]));
        scale.update();
        const self = attention2.queries === "tokens" && attention2.keys === "tokens";
        token.element.hidden = self;
        lead.textContent = self ? STRINGS.attentionSelfLead : attention2.queries === "image" ? STRINGS.attentionImageLead : STRINGS.attentionLead;
        fill(link, notebookLink(app, NOTEBOOKS[attention2.tensor.replace(/layers\.\d/, "layers.{i}")]));
        const weights = app.answer?.tensors[attention2.tensor];
        element.dataset.shown = String(Boolean(weights));
        empty.hidden = Boolean(weights) || !isEmpty(promptsOf(app.state));
        for (const one of [maps, title, bar, readOut, tokens]) one.hidden = !weights;
        if (!weights) return;
        const who = self ? "" : `, ${names[app.state.attention.token]}`;
        fill(title, tensorTitle(`${kind(attention2)}${who}:`, attention2.tensor, weights.dims, attention2.step));
        const grid = app.catalogue.grid;
        const { width, height } = self ? { width: names.length, height: names.length } : gridSize(app);
        const shown = heads.map((_, head) => {
          const size = names.length ** 2;
          return self ? weights.data.subarray(head * size, (head + 1) * size) : mapOf(weights, attention2, head, app.state.attention.token);
        });
        const most = shown.map((map) => map.reduce((a, b) => Math.max(a, b), 0));
        const open = !self && attention2.keys === "image";
        const shared = open ? quantile(shown, 0.998) : Math.max(...most);
        const perHead = app.state.attention.scale === "per head";
        const numbers = () => self ? names.map((_, i) => h("span", {}, String(i))) : [];
        const edge = heads[0].over;
        if (!self) drawEdge(edge, app.masks[app.mask], app.shown.info.width, app.shown.info.height, app.state.points);
        heads.forEach(({ canvas, over, rows, columns, bar: own }, head) => {
          over.hidden = self;
          if (!self && head) {
            [over.width, over.height] = [edge.width, edge.height];
            over.getContext("2d").drawImage(edge, 0, 0);
          }
          fill(rows, ...numbers());
          fill(columns, ...numbers());
          const high = perHead ? most[head] : shared;
          const range = { low: 0, high, signed: false, root: true };
          drawMap(canvas, shown[head], width, height, self ? width : grid, range);
          canvas.setAttribute("aria-label", `${STRINGS.head(head)}: ${kind(attention2)}${who}`);
          canvas.dataset.high = String(high);
          fill(own, perHead ? scaleBar(range) : null);
        });
        fill(bar, perHead ? null : scaleBar({ low: 0, high: shared, signed: false, root: true, open }));
        fill(tokens, ...self ? [h("ol", { class: "names", start: "0" }, ...names.map((name) => h("li", {}, name)))] : []);
        if (!self) fill(pair);
        const shownNow = `${attention2.path} ${app.state.attention.token}`;
        if (shownNow !== shownFor) fill(readOut, self ? STRINGS.hoverPair : STRINGS.hoverImage);
        shownFor = shownNow;
      }
    };
  }
};

// src/panels/channels.ts
var VALUES = "output_upscaling.activated_twice";
var sizes = /* @__PURE__ */ new WeakMap();
function meanSizes(values, pixels) {
  const means = new Float32Array(CHANNELS);
  for (let c = 0, i = 0; c < CHANNELS; c++) {
    let sum = 0;
    for (const end = i + pixels; i < end; i++) sum += Math.abs(values[i]);
    means[c] = sum / pixels;
  }
  return means;
}
function desk(app) {
  const weights = app.answer?.tensors.hyper_in, channels = app.answer?.tensors[VALUES];
  if (!weights || !channels) return null;
  const side = channels.dims[2], pixels = side * side;
  const computed = weights.data.slice(app.mask * CHANNELS, (app.mask + 1) * CHANNELS);
  const moved = computed.slice();
  for (const [channel, weight] of Object.entries(app.state.weights)) moved[Number(channel)] = weight;
  const means = sizes.get(channels) ?? meanSizes(channels.data, pixels);
  sizes.set(channels, means);
  const contribution = means.map((mean, c) => Math.abs(moved[c]) * mean);
  const order = Array.from(contribution.keys()).sort((a, b) => contribution[b] - contribution[a]);
  return { computed, moved, values: channels.data, pixels, side, order, contribution };
}
function product({ values, pixels, order, moved }, count) {
  const sum = new Float32Array(pixels);
  for (const c of order.slice(0, count)) {
    const weight = moved[c];
    if (weight === 0) continue;
    for (let i = 0, j = c * pixels; i < pixels; i++, j++) sum[i] += weight * values[j];
  }
  return sum;
}
function fewestChannels(app, enough) {
  const now = desk(app);
  if (!now) return 0;
  const whole = threshold(product(now, CHANNELS)), sum = new Float32Array(now.pixels);
  for (const [i, c] of now.order.entries()) {
    for (let at = 0, j = c * now.pixels; at < now.pixels; at++, j++) sum[at] += now.moved[c] * now.values[j];
    if (iou(threshold(sum), whole) >= enough) return i + 1;
  }
  return CHANNELS;
}
var channelsPanel = {
  outputs: () => ["hyper_in", VALUES],
  view(app) {
    const title = h("div"), list = h("div", { class: "channels" });
    const canvas = h("canvas", { class: "map", role: "img" });
    const changed = h("p", { class: "changed" });
    const slider = h("input", {
      type: "range",
      min: "1",
      max: String(CHANNELS),
      name: "channels",
      oninput: () => app.set({ channels: Number(slider.value) })
    });
    const sliderWords = h("span");
    const readOut = h("div", { class: "read-out" }, STRINGS.hoverTerms);
    const reset = h("button", {
      type: "button",
      "data-act": "reset-weights",
      onclick: () => app.set({ weights: {}, channels: CHANNELS })
    }, STRINGS.moved);
    const empty = h("p", { class: "empty" }, STRINGS.noPrompt);
    const all = h("button", {
      type: "button",
      "data-act": "all-channels",
      "aria-expanded": "false",
      onclick: () => {
        const open = list.toggleAttribute("data-all");
        all.setAttribute("aria-expanded", String(open));
        all.textContent = open ? STRINGS.showFew : STRINGS.showAll;
      }
    }, STRINGS.showAll);
    const controls = h("div", {}, h("label", {}, sliderWords, slider), reset, changed, readOut);
    const whole = h("div", { class: "desk" }, h("figure", {}, canvas), controls);
    const element = h(
      "div",
      {},
      h("p", {}, STRINGS.channelsLead),
      title,
      empty,
      whole,
      h("p", { class: "caution" }, STRINGS.contributionIs, app.catalogue.held_out ? ` ${STRINGS.mutedEffect} ${HELD_OUT_WORDS}.` : ""),
      list,
      all,
      notebookLink(app, NOTEBOOKS.hyper_in)
    );
    const rows = Array.from({ length: CHANNELS }, (_, channel) => row(app, channel));
    onPosition(canvas, () => app.shown.info, (x, y) => {
      const now = desk(app);
      if (!now) return;
      const { width, height } = app.shown.info;
      const { frame } = app.catalogue;
      const scale = now.side / frame;
      const ratio = frame / Math.max(width, height);
      const at = Math.floor((y + 0.5) * ratio * scale) * now.side + Math.floor((x + 0.5) * ratio * scale);
      const terms = now.order.map((c) => now.moved[c] * now.values[c * now.pixels + at]);
      const sum = terms.reduce((a, b) => a + b, 0);
      fill(readOut, STRINGS.termsAt(x, y, sum), bars(now.order.map((c) => STRINGS.channel(c)), terms, true));
    });
    return {
      element,
      draw() {
        const now = desk(app);
        element.dataset.shown = String(Boolean(now));
        for (const one of [title, whole, list, all]) one.hidden = !now;
        empty.hidden = Boolean(now) || !isEmpty(promptsOf(app.state));
        if (!now || !app.answer) return;
        app.movedWeights = Object.keys(app.state.weights).length ? [...now.moved] : null;
        fill(title, tensorTitle(`${STRINGS.maskName(app.mask)}:`, VALUES, app.answer.tensors[VALUES].dims, STEPS[VALUES]), tensorTitle("", "hyper_in", app.answer.tensors.hyper_in.dims, STEPS.hyper_in));
        const count = app.state.channels;
        slider.value = String(count);
        sliderWords.textContent = STRINGS.channelsSum(count);
        const { width, height } = app.shown.info;
        const large = (logits) => threshold(enlarge(logits, now.side, app.catalogue.frame, width, height));
        const mask = large(product(now, count));
        drawImage(canvas, app.shown.pixels.rgb, width, height, [{ mask, number: app.mask, dims: true }]);
        canvas.setAttribute("aria-label", STRINGS.channelsSum(count));
        const isWhole = count === CHANNELS && Object.keys(app.state.weights).length === 0;
        const same = isWhole ? 1 : iou(mask, large(product({ ...now, moved: now.computed }, CHANNELS)));
        changed.textContent = STRINGS.changed(same);
        changed.dataset.value = String(same);
        const most = Math.max(...now.contribution, 1e-9);
        now.order.forEach((channel) => {
          rows[channel].draw(now, most);
        });
        const wanted = now.order.map((channel) => rows[channel].element);
        const focused = list.contains(document.activeElement);
        if (!focused && wanted.some((element_, i) => list.children[i] !== element_)) fill(list, ...wanted);
      }
    };
  }
};
function row(app, channel) {
  const canvas = h("canvas", { class: "map", role: "img", "aria-label": STRINGS.channel(channel) });
  const share = h("span", { class: "share-bar", title: STRINGS.contributionIs });
  const value = h("output");
  const slider = h("input", {
    type: "range",
    step: "any",
    "aria-label": `${STRINGS.weight}, ${STRINGS.channel(channel)}`,
    oninput: () => move(Number(slider.value))
  });
  const mute = h("button", {
    type: "button",
    "aria-label": STRINGS.muted(channel),
    onclick: () => mute.getAttribute("aria-pressed") === "true" ? restore() : move(0)
  }, STRINGS.mute);
  const bar = h("div");
  const [mean, low, high] = EFFECTS[`channel ${channel} zero`];
  const effect = h("small", { class: "effect", title: `${STRINGS.switchesEffect}, ${HELD_OUT_WORDS}` }, `${STRINGS.average} ${STRINGS.interval(mean, low, high)}`);
  const element = h(
    "div",
    { class: "channel", "data-channel": channel },
    canvas,
    bar,
    h("strong", {}, STRINGS.channel(channel)),
    share,
    h("div", { class: "weight" }, slider, value),
    mute,
    app.catalogue.held_out ? effect : null
  );
  function move(weight) {
    app.set({ weights: { ...app.state.weights, [channel]: weight } });
  }
  function restore() {
    const { [channel]: _, ...rest } = app.state.weights;
    app.set({ weights: rest });
  }
  let shown = null;
  return {
    element,
    draw(now, most) {
      if (shown !== now.values) drawChannel(now);
      shown = now.values;
      const weight = now.moved[channel];
      const range = Math.max(1, 2 * Math.max(...now.computed.map(Math.abs)));
      slider.min = String(-range);
      slider.max = String(range);
      slider.value = String(weight);
      value.textContent = `${STRINGS.weight} ${fixed(weight, 2)}`;
      element.dataset.weight = String(weight);
      mute.setAttribute("aria-pressed", String(weight === 0));
      share.style.setProperty("--share", String(now.contribution[channel] / most));
    }
  };
  function drawChannel(now) {
    const map = now.values.subarray(channel * now.pixels, (channel + 1) * now.pixels);
    let size = 0;
    for (let i = 0; i < map.length; i++) {
      const x = map[i];
      if (x > size) size = x;
      else if (-x > size) size = -x;
    }
    const { width, height } = app.shown.info;
    const ratio = now.side / Math.max(width, height);
    const scale = { low: -size, high: size, signed: true };
    const [w, h_] = [width, height].map((side) => Math.max(1, Math.round(side * ratio)));
    drawMap(canvas, map, w, h_, now.side, scale);
    if (bar.dataset.high !== String(size)) {
      bar.dataset.high = String(size);
      fill(bar, scaleBar(scale));
    }
  }
}

// src/panels/clicks.ts
var OF_IMAGE = "src";
var TENSORS = [...new Set(STOPS.flatMap(({ asked, tokens }) => [asked, tokens]))].filter((name) => name && name !== OF_IMAGE);
var results = /* @__PURE__ */ new WeakMap();
function key(app) {
  return JSON.stringify([app.imageKey, promptsOf(app.state), app.state.other, app.state.transplant]);
}
var clicksPanel = {
  outputs: () => TENSORS,
  async more(app, isLatest) {
    const { other, transplant, image } = app.state;
    if (!other || isEmpty(promptsOf(app.state)) || results.get(app)?.key === key(app)) return;
    const wanted = key(app), ofOther = JSON.stringify([app.imageKey, other]);
    const base = { image, prompts: other, interventions: [], outputs: ["iou_pred", ...TENSORS] };
    const before = results.get(app)?.other === ofOther ? results.get(app) : null;
    let kept = before?.kept ?? await app.decode(base), current = app.answer;
    const ofImage = before?.image ?? (await app.decode({ ...base, outputs: [OF_IMAGE] })).tensors[OF_IMAGE];
    if (kept.provenance !== current.provenance) {
      if (!isLatest()) return;
      if (kept.provenance === "stored") kept = await app.decode({ ...base, anew: true });
      else current = await app.decode({ ...base, prompts: promptsOf(app.state), anew: true });
    }
    let transplanted = null;
    if (transplant && sameTokens(app)) {
      if (!isLatest()) return;
      const from = { image, prompts: other };
      const interventions2 = ["k", "v"].map((name) => ({ point: `${transplant}.${name}`, how: "transplant", from }));
      transplanted = await app.decode({ ...base, prompts: promptsOf(app.state), interventions: interventions2, outputs: ["masks", "iou_pred"] });
    }
    results.set(app, { key: wanted, other: ofOther, image: ofImage, kept, current, transplanted });
  },
  leave: (app) => void results.delete(app),
  view(app) {
    const freeze = h("button", {
      type: "button",
      "data-act": "freeze",
      onclick: () => app.set({ other: app.state.other ? null : structuredClone(promptsOf(app.state)), transplant: "" })
    });
    const note = h("p");
    const canvases = [STRINGS.kept, STRINGS.current, STRINGS.withTransplant].map((words) => {
      const canvas = h("canvas", { class: "map", role: "img" });
      const caption = h("figcaption"), scores = h("p", { class: "scores" });
      return { canvas, caption, words, scores, figure: h("figure", {}, caption, canvas, scores) };
    });
    const streams = streamsView(app);
    const choice = select(
      STRINGS.transplant,
      "transplant",
      [["", STRINGS.transplantNone], ...ATTENTIONS.map((one) => {
        const kind2 = one.queries === "image" ? STRINGS.kinds.image : one.keys === "image" ? STRINGS.kinds.tokens : STRINGS.kinds.self;
        return [one.path, STRINGS.attentionOption(one.step, one.block, kind2)];
      })],
      () => app.state.transplant,
      (transplant) => app.set({ transplant })
    );
    const element = h(
      "div",
      {},
      h("p", {}, STRINGS.clicksLead),
      freeze,
      note,
      h("div", { class: "two" }, ...canvases.map(({ figure }) => figure)),
      streams.element,
      choice.element,
      notebookLink(app, "05")
    );
    return {
      element,
      draw() {
        const { other } = app.state;
        freeze.textContent = other ? STRINGS.release : STRINGS.freeze;
        choice.update();
        choice.element.hidden = !other;
        const two = results.get(app);
        const ready = other && two?.key === key(app);
        note.textContent = !other ? "" : !sameTokens(app) ? STRINGS.differentTokens : sameClick(app) ? STRINGS.nowElsewhere : "";
        element.dataset.shown = String(Boolean(ready));
        canvases.forEach(({ figure }, i) => figure.hidden = !ready || i === 2 && !two?.transplanted);
        streams.element.hidden = !ready;
        if (!ready) return;
        const masks = [two.kept, two.current, two.transplanted].map((answer) => answer ? maskOf(app, answer.tensors, app.mask) : null);
        masks.forEach((mask, i) => {
          if (!mask) return;
          const { canvas, caption, words } = canvases[i];
          caption.textContent = words(app.mask);
          const { width, height } = app.shown.info;
          drawImage(canvas, app.shown.pixels.rgb, width, height, [{ mask, number: app.mask, dims: true }]);
          drawPoints(canvas, i ? app.state.points : app.state.other.points);
          canvas.setAttribute("aria-label", words(app.mask));
        });
        if (masks[2]) {
          const { scores, figure } = canvases[2];
          const [own, theirs] = [iou(masks[2], masks[1]), iou(masks[2], masks[0])];
          scores.textContent = STRINGS.transplanted(own, theirs);
          figure.dataset.own = String(own);
          figure.dataset.other = String(theirs);
        }
        streams.draw(two, iou(masks[0], masks[1]));
      }
    };
  }
};
function sameTokens(app) {
  const { other } = app.state;
  return other !== null && tokenNames(other).length === tokenNames(promptsOf(app.state)).length;
}
function sameClick(app) {
  return JSON.stringify(app.state.other) === JSON.stringify(promptsOf(app.state));
}
var isAttention = ({ shows }) => shows.endsWith(".weights");
var isMap = (stop) => !isAttention(stop) && stop.shows !== "hyper_in" && stop.shows !== "masks";
function streamsView(app) {
  const canvas = () => h("canvas", { class: "map", role: "img" });
  const rows = STOPS.map((stop) => {
    const sides = [h("div"), h("div")], canvases = [canvas(), canvas()];
    sides.forEach((side, i) => fill(side, canvases[i]));
    const field2 = canvas(), tokens = h("div"), words = h("p", { class: "scores" });
    const apart = h("div", {}, isMap(stop) ? field2 : null, tokens, words);
    const name = h(
      "div",
      {},
      h("strong", {}, STRINGS.stopName(stop.name, stop.block)),
      " ",
      h("span"),
      h("code", { class: "tensor" }, stop.shows)
    );
    const row2 = h("div", { class: "stop", role: "row", "data-stop": stop.shows }, ...[name, ...sides, apart].map((one, i) => {
      one.setAttribute("role", i ? "cell" : "rowheader");
      return one;
    }));
    return { stop, row: row2, name, sides, canvases, field: field2, tokens, words };
  });
  const attentionBar = h("div"), fieldBar = h("div"), logitBar = h("div");
  const drawn = /* @__PURE__ */ new WeakMap();
  const head = ["", STRINGS.keptShort, STRINGS.currentShort, STRINGS.apart].map((words) => h("div", { role: "columnheader" }, words));
  const element = h(
    "div",
    { class: "streams" },
    h("p", {}, STRINGS.streams),
    h("p", { class: "caution" }, STRINGS.streamColours),
    ...[[STRINGS.attentionBar, attentionBar], [STRINGS.fieldBar, fieldBar], [STRINGS.logitBar, logitBar]].map(([words, bar]) => h("div", { class: "caution scale" }, words, bar)),
    h(
      "div",
      { role: "table", "aria-label": STRINGS.streams },
      h("div", { class: "stop head", role: "row" }, ...head),
      ...rows.map(({ row: row2 }) => row2)
    )
  );
  return {
    element,
    draw({ image, kept, current }, maskIou) {
      const both = [kept, current].map(({ tensors }) => ({ ...tensors, [OF_IMAGE]: image }));
      const { grid } = app.catalogue;
      const size = gridSize(app);
      const names = [tokenNames(app.state.other), tokenNames(promptsOf(app.state))];
      const attention2 = rows.filter(({ stop }) => isAttention(stop)).map(({ stop }) => {
        return both.map((tensors) => meanOfHeads(tensors[stop.shows], readerOf(app, stop)));
      });
      const scale = { low: 0, high: quantile(attention2.flat(), 0.998), signed: false, root: true, open: true };
      const fields = rows.filter(({ stop }) => isMap(stop)).map(({ stop }) => field(both[0][stop.asked], both[1][stop.asked]));
      const fieldScale = { low: 0, high: highest(fields), signed: false };
      const side = 4 * grid, ofMask = (tensors) => tensors.masks.data.subarray(app.mask * side * side, (app.mask + 1) * side * side);
      const logits = both.map(ofMask);
      const high = logitEnd(logits);
      const logitScale = { low: -high, high, signed: true, open: true };
      for (const { stop, row: row2, name, sides, canvases, field: over, tokens, words } of rows) {
        const what = STRINGS.stopShows(stop.shows, STEPS[stop.shows.replace(/layers\.\d/, "layers.{i}")] ?? "", names[1][readerOf(app, stop)], app.mask);
        name.querySelector("span").textContent = what;
        canvases.forEach((one, i) => one.setAttribute("aria-label", `${i ? STRINGS.currentShort : STRINGS.keptShort}: ${what}`));
        row2.dataset.apart = "";
        words.textContent = "";
        if (isMap(stop)) {
          both.forEach((tensors, i) => {
            const basis = app.catalogue.bases[stop.shows] ?? app.catalogue.bases.src;
            const tensor = tensors[stop.asked], one = canvases[i];
            if (drawn.get(one) === tensor) return;
            drawColours(one, vectors(tensor), size.width, size.height, grid, basis);
            drawn.set(one, tensor);
          });
          const distance = fields.shift();
          drawMap(over, distance, size.width, size.height, grid, fieldScale);
          const mean = distance.reduce((a, b) => a + b, 0) / distance.length;
          over.setAttribute("aria-label", `${STRINGS.apart}: ${what}`);
          over.hidden = mean === 0;
          row2.dataset.apart = String(mean);
          words.textContent = mean === 0 ? STRINGS.equal : STRINGS.meanApart(mean);
        } else if (isAttention(stop)) {
          attention2.shift().forEach((map, i) => drawMap(canvases[i], map, size.width, size.height, grid, scale));
        } else if (stop.shows === "hyper_in") {
          const weights = both.map((tensors) => tensors.hyper_in.data.subarray(app.mask * CHANNELS, (app.mask + 1) * CHANNELS));
          const most = highest(weights);
          weights.forEach((one, i) => fill(sides[i], weightBars(one, most, what)));
        } else {
          logits.forEach((one, i) => drawMap(canvases[i], one, size.width * 4, size.height * 4, side, logitScale));
          words.textContent = STRINGS.masksIou(maskIou);
        }
        if (stop.tokens) {
          const after = stop.tokens === "hyper_in" ? STRINGS.weightsOfMasks : STRINGS.tokensAfter(stop.tokens === "tokens" ? "" : STEPS[stop.tokens.replace(/layers\.\d/, "layers.{i}")]);
          fill(tokens, h("small", {}, after), tokensApart(both[0][stop.tokens], both[1][stop.tokens], names));
        }
      }
      fill(attentionBar, scaleBar(scale));
      fill(fieldBar, scaleBar(fieldScale));
      fill(logitBar, scaleBar(logitScale));
    }
  };
}
function readerOf(app, { shows }) {
  return shows.includes("final_attn") ? 1 + app.mask : 5;
}
function highest(all) {
  let most = 1e-9;
  for (const one of all) for (let i = 0; i < one.length; i++) most = Math.max(most, Math.abs(one[i]));
  return most;
}
function field(one, other) {
  const a = vectors(one), b = vectors(other);
  const apart = new Float32Array(a.positions);
  if (one === other) return apart;
  const { channels, positions, ofPosition, ofChannel } = a, left = a.data, right = b.data;
  let lengths = 0;
  for (let position = 0; position < positions; position++) {
    let squares = 0, ofOne = 0, ofOther = 0;
    for (let channel = 0, i = position * ofPosition; channel < channels; channel++, i += ofChannel) {
      const x = left[i], y = right[i];
      squares += (x - y) * (x - y);
      ofOne += x * x;
      ofOther += y * y;
    }
    apart[position] = Math.sqrt(squares);
    lengths += Math.sqrt(ofOne) + Math.sqrt(ofOther);
  }
  const mean = Math.max(lengths / (2 * positions), 1e-12);
  return apart.map((distance) => distance / mean);
}
function distances(one, other) {
  const [, rows, channels] = one.dims;
  return Array.from({ length: rows }, (_, row2) => {
    let apart = 0, a = 0, b = 0;
    for (let i = row2 * channels; i < (row2 + 1) * channels; i++) {
      const x = one.data[i], y = other.data[i];
      apart += (x - y) ** 2;
      a += x * x;
      b += y * y;
    }
    return Math.sqrt(apart) / Math.max((Math.sqrt(a) + Math.sqrt(b)) / 2, 1e-12);
  });
}
function tokensApart(one, other, names) {
  if (one.dims[1] !== other.dims[1]) return h("p", { class: "scores" }, STRINGS.otherTokenCount);
  const shown = one.dims[1] === 4 ? names[1].slice(1, 5) : names[1];
  const list = bars(shown, distances(one, other), true, 2);
  list.classList.add("apart");
  return list;
}
function weightBars(weights, most, words) {
  return h(
    "div",
    { class: "weight-bars", role: "img", "aria-label": words },
    ...Array.from(weights, (weight, i) => h("span", {
      "data-value": weight,
      class: weight < 0 ? "negative" : "positive",
      title: `${STRINGS.channel(i)}: ${number(weight)}`,
      style: `--share: ${Math.abs(weight) / most}`
    }))
  );
}

// src/panels/masks.ts
var masksPanel = {
  outputs: () => [],
  view(app) {
    const title = h("div");
    const canvas = h("canvas", { class: "map large", role: "img" });
    const bar = h("div"), empty = h("p", { class: "empty" }, STRINGS.noPrompt);
    const readOut = h("p", { class: "read-out" }, STRINGS.hoverLogits);
    onPosition(canvas, () => app.shown.info, (x, y) => {
      const logits = app.logits[app.mask];
      if (!logits) return;
      readOut.textContent = STRINGS.logitAt(x, y, logits[y * app.shown.info.width + x]);
    });
    const element = h(
      "div",
      {},
      h("p", {}, STRINGS.masksLead),
      empty,
      title,
      canvas,
      bar,
      readOut,
      notebookLink(app, NOTEBOOKS.masks)
    );
    return {
      element,
      draw() {
        const logits = app.logits[app.mask];
        empty.hidden = Boolean(logits) || !isEmpty(promptsOf(app.state));
        for (const one of [title, canvas, bar, readOut]) one.hidden = !logits;
        if (!logits || !app.answer) return;
        const { width, height } = app.shown.info;
        fill(title, tensorTitle(`${STRINGS.masksTensor}, ${STRINGS.maskName(app.mask)}:`, "masks", app.answer.tensors.masks.dims, STEPS.masks));
        const high = logitEnd([logits]);
        const scale = { low: -high, high, signed: true, open: true };
        drawMap(canvas, logits, width, height, width, scale);
        canvas.setAttribute("aria-label", `${STRINGS.masksTensor}, ${STRINGS.maskName(app.mask)}`);
        fill(bar, scaleBar(scale));
      }
    };
  }
};

// src/panels/own.ts
var ownPanel = {
  outputs: () => [],
  view(app) {
    const take = (capture) => {
      const input = h("input", {
        type: "file",
        accept: "image/*",
        class: "hidden-input",
        "aria-label": capture ? STRINGS.ownTake : STRINGS.ownChoose,
        capture: capture ? "environment" : null,
        onchange: () => {
          if (input.files?.[0]) void app.setOwn(input.files[0]);
          input.value = "";
        }
      });
      return h("label", { class: "button" }, capture ? STRINGS.ownTake : STRINGS.ownChoose, input);
    };
    const examples = h("ul", { class: "examples" });
    const element = h(
      "div",
      {},
      h("p", {}, STRINGS.ownLead),
      h("div", { class: "drop" }, h("p", {}, STRINGS.ownDrop), take(false), take(true)),
      h("h3", {}, STRINGS.ownExamples),
      examples
    );
    for (const info of app.catalogue.images.filter(({ note }) => note)) {
      examples.append(
        h("li", {}, h("button", {
          type: "button",
          onclick: () => app.set({ image: info.id, points: [info.click], box: null, other: null })
        }, info.title), ` ${info.note}`)
      );
    }
    return { element, draw: () => void 0 };
  }
};

// src/panels/switches.ts
var SOON = 250;
var results2 = /* @__PURE__ */ new WeakMap();
var begun = /* @__PURE__ */ new WeakMap();
function key2(app, mode) {
  return JSON.stringify([app.imageKey, promptsOf(app.state), app.state.off, mode]);
}
function possible(app, mode) {
  return mode === "zero" || app.state.points.length === 1 && app.state.box === null && app.catalogue.held_out;
}
async function resultOf(app, state, mode) {
  const { off, image } = state, prompts = promptsOf(state);
  const request = { image, prompts, interventions: interventions(off, mode, app.otherClick), outputs: ["masks", "iou_pred"] };
  const found = off.length === 1 ? await app.backend.ablated?.(image, prompts, off[0], mode) : null;
  if (found) return { provenance: "stored", milliseconds: 0, predicted: found.predicted, mask: (number2) => found.masks[number2] };
  const { tensors, provenance, milliseconds } = await app.decode(request);
  return { provenance, milliseconds, predicted: tensors.iou_pred.data, mask: (number2) => maskOf(app, tensors, number2) };
}
function begin(app, mode) {
  const all = begun.get(app) ?? /* @__PURE__ */ new Map(), wanted = key2(app, mode);
  begun.set(app, all);
  const before = all.get(mode);
  if (before?.key === wanted) return before.result;
  const result = resultOf(app, app.state, mode).then((found) => ({ key: wanted, ...found }));
  all.set(mode, { key: wanted, result });
  result.catch(() => all.delete(mode));
  return result;
}
function missing(app) {
  if (!app.state.off.length) return [];
  return [app.state.mode, ...MODES.filter((one) => one !== app.state.mode)].filter((mode) => {
    return possible(app, mode) && results2.get(app)?.get(mode)?.key !== key2(app, mode);
  });
}
var switchesPanel = {
  outputs: () => [],
  ahead(app) {
    if (!app.state.off.length || !app.backend.canDecodeTwo?.()) return;
    for (const mode of missing(app)) void begin(app, mode).catch(() => {
    });
  },
  async more(app, isLatest) {
    const found = results2.get(app) ?? /* @__PURE__ */ new Map();
    results2.set(app, found);
    const modes = missing(app);
    let drawing;
    const draw2 = () => {
      drawing = void 0;
      app.redraw(true);
    };
    const takeNext = async () => {
      while (modes.length && isLatest()) {
        const mode = modes.shift();
        found.set(mode, await begin(app, mode));
        drawing ??= window.setTimeout(draw2, SOON);
      }
    };
    try {
      await Promise.all(app.backend.canDecodeTwo?.() ? [takeNext(), takeNext()] : [takeNext()]);
    } catch (error) {
      draw2();
      throw error;
    } finally {
      window.clearTimeout(drawing);
      drawing = void 0;
    }
  },
  leave: (app) => app.backend.decodeOne?.(),
  view(app) {
    const map = h("div", { class: "switches" });
    const columns = h("div", { class: "modes" });
    const legend = h("p", { class: "legend" }, STRINGS.legend), caution = h("p", { class: "caution" }, STRINGS.oneClick);
    const stored = h("div", { class: "stored" });
    const element = h(
      "div",
      {},
      h("p", {}, STRINGS.switchesLead),
      columns,
      legend,
      map,
      h("div", { class: "actions" }, h("button", { type: "button", "data-act": "all-on", onclick: () => app.set({ off: [] }) }, STRINGS.allOn)),
      caution,
      stored,
      notebookLink(app, "02")
    );
    const buttons = PARTS.map((part) => {
      const button = h("button", {
        type: "button",
        "data-part": part.name,
        "aria-label": STRINGS.off(partName(part.name)),
        onclick: () => toggle(app, part.name)
      }, part.head === null ? `${STRINGS.step(part.number, part.block)}` : String(part.head));
      return { part, button };
    });
    for (const { part, button } of buttons) {
      if (part.head === null) {
        map.append(
          h(
            "div",
            { class: "step", "data-step": part.step },
            button,
            h("span", {}, STRINGS.stepKind[part.step.split(".").at(-1)]),
            h("div", { class: "head-switches", role: "group", "aria-label": STRINGS.heads })
          )
        );
      } else {
        map.lastElementChild.lastElementChild.append(button);
      }
    }
    const cells = MODES.map((mode) => {
      const canvas = h("canvas", { class: "map", role: "img" });
      const words = h("p");
      const scores = h("p", { class: "scores" });
      const choose = h("button", { type: "button", "data-mode": mode, onclick: () => app.set({ mode }) }, STRINGS.mode[mode]);
      columns.append(h("figure", { "data-mode": mode }, choose, canvas, words, scores));
      return { mode, canvas, words, scores, choose, drawn: [] };
    });
    return {
      element,
      draw() {
        const { off } = app.state;
        for (const { part, button } of buttons) button.setAttribute("aria-pressed", String(off.includes(part.name)));
        refill(stored, ...app.catalogue.held_out ? effects(off) : []);
        legend.hidden = off.length === 0;
        caution.hidden = off.length !== 1 || !app.catalogue.held_out;
        for (const cell of cells) {
          const { mode, canvas, words, scores, choose, drawn } = cell;
          cell.drawn = [];
          choose.setAttribute("aria-pressed", String(app.state.mode === mode));
          const result = results2.get(app)?.get(mode);
          const before = app.masks[app.mask];
          if (!possible(app, mode)) {
            words.textContent = STRINGS.singleClick;
            canvas.hidden = true;
            scores.textContent = "";
            continue;
          }
          canvas.hidden = off.length === 0;
          if (off.length === 0) {
            words.textContent = STRINGS.nothingOff;
            scores.textContent = "";
            continue;
          }
          if (!result || result.key !== key2(app, mode) || !before) {
            words.textContent = STRINGS.computing;
            delete canvas.dataset.lost;
            continue;
          }
          const shows = [result, before, app.mask];
          cell.drawn = shows;
          if (shows.every((one, i) => one === drawn[i])) continue;
          const { width, height } = app.shown.info;
          const after = result.mask(app.mask);
          const { lost, gained } = drawChange(canvas, app.shown.pixels.rgb, before, after, width, height);
          canvas.dataset.lost = String(lost);
          canvas.dataset.gained = String(gained);
          canvas.setAttribute("aria-label", `${STRINGS.mode[mode]}: ${STRINGS.lostGained(lost, gained)}`);
          const few = lost + gained > 0 && lost + gained < 1e-3 * width * height;
          words.textContent = STRINGS.lostGained(lost, gained) + (few ? ` (${STRINGS.tooFewToSee})` : "");
          const predicted = result.predicted[app.mask];
          const truth = app.trueIou(after);
          scores.textContent = `${STRINGS.predicted} ${predicted.toFixed(3)}` + (truth === null ? "" : `, ${STRINGS.truth} ${truth.toFixed(3)}`) + `, IoU ${STRINGS.unchanged} ${iou(before, after).toFixed(3)}`;
          scores.dataset.predicted = String(predicted);
          scores.append(h("small", { class: "provenance" }, ` ${result.provenance === "stored" ? STRINGS.storedHere : STRINGS.computedNow(result.milliseconds)}`));
          canvas.dataset.provenance = result.provenance;
        }
      }
    };
  }
};
function toggle(app, name) {
  const part = BY_NAME.get(name);
  const { off } = app.state;
  if (off.includes(name)) return app.set({ off: off.filter((one) => one !== name) });
  const others = off.filter((one) => {
    const other = BY_NAME.get(one);
    return other.step !== part.step || part.head !== null && other.head !== null;
  });
  app.set({ off: [...others, name] });
}
function effects(off) {
  if (off.length === 0) return [];
  if (off.length > 1) return [h("p", {}, STRINGS.severalOff)];
  const part = BY_NAME.get(off[0]);
  return [
    h(
      "table",
      {},
      h("caption", {}, `${STRINGS.switchesEffect}, ${HELD_OUT_WORDS}: ${partName(part.name)}`),
      h("tbody", {}, ...MODES.map((mode) => {
        const name = ablation(part, mode);
        const [mean, low, high] = EFFECTS[name];
        return h(
          "tr",
          { "data-ablation": name },
          h("th", { scope: "row" }, STRINGS.mode[mode]),
          h("td", { "data-mean": mean }, STRINGS.interval(mean, low, high))
        );
      }))
    )
  ];
}

// src/prompts.ts
var MOST_POINTS = 20;
var NEAR = 14;
var SVG = "http://www.w3.org/2000/svg";
function promptCanvas(handlers) {
  const canvas = h("canvas");
  const overlay = document.createElementNS(SVG, "svg");
  overlay.setAttribute("aria-hidden", "true");
  const element = h(
    "div",
    { class: "image", tabindex: "0", role: "application", "aria-label": STRINGS.canvasLabel },
    canvas
  );
  element.append(overlay);
  let tool = "positive";
  let follow = false;
  let drawn = [];
  let pixels = null;
  let points = [];
  let box = null;
  let cursor = null;
  let dragged = null;
  const toolButton = (name, words) => {
    return h("button", {
      type: "button",
      "data-tool": name,
      "aria-pressed": String(tool === name),
      onclick: () => choose(name)
    }, words);
  };
  const followButton = h("button", {
    type: "button",
    "data-tool": "follow",
    "aria-pressed": "false",
    onclick: () => {
      follow = !follow;
      followButton.setAttribute("aria-pressed", String(follow));
    }
  }, STRINGS.follow);
  followButton.title = STRINGS.followLong;
  const buttons = [
    toolButton("positive", STRINGS.positive),
    toolButton("negative", STRINGS.negative),
    toolButton("box", STRINGS.boxTool)
  ];
  function choose(name) {
    tool = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  }
  function at(event) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const x = (event.clientX - left) * pixels.width / width;
    const y = (event.clientY - top) * pixels.height / height;
    return [x, y];
  }
  const whole = ([x, y]) => {
    return [clamp(Math.floor(x), pixels.width - 1), clamp(Math.floor(y), pixels.height - 1)];
  };
  function add(x, y, done) {
    if (points.length >= MOST_POINTS) return handlers.problem(STRINGS.tooManyPoints);
    if (points.some(([px, py]) => px === x && py === y)) return;
    handlers.onPrompts({ points: [...points, [x, y, tool === "negative" ? 0 : 1]] }, done);
  }
  element.addEventListener("pointerdown", (event) => {
    if (!pixels || event.button > 0) return;
    const [x, y] = at(event);
    if (x < 0 || y < 0 || x >= pixels.width || y >= pixels.height) return handlers.problem(STRINGS.outside);
    element.setPointerCapture(event.pointerId);
    if (tool === "box") {
      dragged = { kind: "box", x, y };
      return;
    }
    const near = NEAR * pixels.width / canvas.getBoundingClientRect().width;
    const index = points.findIndex(([px2, py2]) => Math.hypot(px2 + 0.5 - x, py2 + 0.5 - y) < near);
    const [px, py] = whole([x, y]);
    if (index >= 0) {
      dragged = { kind: "point", index, before: points };
      return;
    }
    if (points.length >= MOST_POINTS) return handlers.problem(STRINGS.tooManyPoints);
    const single = (follow || handlers.replaces()) && points.length === 1;
    dragged = { kind: "point", index: single ? 0 : points.length, before: points };
    if (single) handlers.onPrompts({ points: [[px, py, points[0][2]]] }, true);
    else add(px, py, true);
  });
  element.addEventListener("pointermove", (event) => {
    if (!pixels) return;
    const [x, y] = at(event);
    if (dragged?.kind === "point") {
      const [px, py] = whole([x, y]);
      const { index } = dragged;
      if (points[index]) move(index, px, py);
    } else if (dragged?.kind === "box") {
      const drawn2 = boxOf(dragged, x, y);
      if (drawn2) handlers.onPrompts({ box: drawn2 }, false);
    } else if (follow && tool !== "box" && event.pointerType !== "touch" && points.length === 1 && !box) {
      if (x >= 0 && y >= 0 && x < pixels.width && y < pixels.height) move(0, ...whole([x, y]));
    }
  });
  const release = () => {
    dragged = null;
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);
  function move(index, x, y) {
    const [px, py, label] = points[index];
    if (px === x && py === y) return;
    handlers.onPrompts({ points: points.map((point, i) => i === index ? [x, y, label] : point) }, false);
  }
  function boxOf(from, x, y) {
    const [w, h_] = [pixels.width, pixels.height];
    const xs = [from.x, clamp(x, w)].map(Math.round).sort((a, b) => a - b);
    const ys = [from.y, clamp(y, h_)].map(Math.round).sort((a, b) => a - b);
    return xs[1] - xs[0] >= 2 && ys[1] - ys[0] >= 2 ? [xs[0], ys[0], xs[1], ys[1]] : null;
  }
  let corner = null;
  element.addEventListener("keydown", (event) => {
    if (!pixels) return;
    const step = event.shiftKey ? 10 : 1;
    const moves = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step]
    };
    const by = moves[event.key];
    if (by) {
      const [x, y] = cursor ?? [Math.floor(pixels.width / 2), Math.floor(pixels.height / 2)];
      cursor = [clamp(x + by[0], pixels.width - 1), clamp(y + by[1], pixels.height - 1)];
      handlers.announce(STRINGS.cursor(...cursor));
      marks();
    } else if (event.key === "Enter" || event.key === " ") {
      cursor ??= [Math.floor(pixels.width / 2), Math.floor(pixels.height / 2)];
      if (tool !== "box") add(...cursor, true);
      else if (!corner) corner = cursor;
      else {
        const drawn2 = boxOf({ x: corner[0], y: corner[1] }, ...cursor);
        corner = null;
        if (drawn2) handlers.onPrompts({ box: drawn2 }, true);
      }
    } else if (event.key === "Backspace" || event.key === "Delete") {
      if (points.length) handlers.onPrompts({ points: points.slice(0, -1) }, true);
      else if (box) handlers.onPrompts({ box: null }, true);
    } else if (event.key === "+" || event.key === "-") {
      choose(event.key === "+" ? "positive" : "negative");
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      handlers.onUndo();
    } else {
      return;
    }
    event.preventDefault();
  });
  function marks() {
    overlay.replaceChildren();
    if (!pixels) return;
    overlay.setAttribute("viewBox", `0 0 ${pixels.width} ${pixels.height}`);
    const size = Math.max(pixels.width, pixels.height) / 256;
    const shape = (name, attributes) => {
      const one = document.createElementNS(SVG, name);
      for (const [key3, value] of Object.entries(attributes)) one.setAttribute(key3, String(value));
      overlay.append(one);
    };
    if (box) {
      const [x0, y0, x1, y1] = box;
      const frame = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: "none" };
      shape("rect", { ...frame, stroke: "#000", "stroke-width": 3.2 * size });
      shape("rect", { ...frame, stroke: COLOURS.box, "stroke-width": 1.8 * size, class: "box" });
    }
    points.forEach(([x, y, label], i) => {
      const [cx, cy] = [x + 0.5, y + 0.5];
      const colour = label ? COLOURS.positive : COLOURS.negative;
      shape("circle", {
        cx,
        cy,
        r: 5 * size,
        fill: colour,
        stroke: "#fff",
        "stroke-width": 1.4 * size,
        class: "point",
        "data-index": i
      });
      const arm = 2.6 * size;
      shape("line", { x1: cx - arm, x2: cx + arm, y1: cy, y2: cy, stroke: "#fff", "stroke-width": 1.4 * size });
      if (label) shape("line", { x1: cx, x2: cx, y1: cy - arm, y2: cy + arm, stroke: "#fff", "stroke-width": 1.4 * size });
    });
    if (cursor) {
      const [cx, cy] = [cursor[0] + 0.5, cursor[1] + 0.5];
      for (const [colour, width] of [["#000", 2.2], ["#fff", 1]]) {
        const line = { stroke: colour, "stroke-width": width * size, class: "cursor" };
        shape("line", { x1: cx - 7 * size, x2: cx + 7 * size, y1: cy, y2: cy, ...line });
        shape("line", { x1: cx, x2: cx, y1: cy - 7 * size, y2: cy + 7 * size, ...line });
      }
    }
  }
  return {
    element,
    tools: [...buttons, followButton],
    setImage(given) {
      pixels = given;
      cursor = corner = null;
      element.style.setProperty("--ratio", `${given.width} / ${given.height}`);
    },
    draw(nowPoints, nowBox, overlays) {
      [points, box] = [nowPoints, nowBox];
      if (!pixels) return;
      const now = [pixels, ...overlays.flatMap(({ mask, number: number2, dims }) => [mask, number2, dims])];
      if (now.length !== drawn.length || now.some((one, i) => one !== drawn[i])) {
        drawImage(canvas, pixels.rgb, pixels.width, pixels.height, overlays);
        drawn = now;
      }
      marks();
    }
  };
}
var clamp = (x, high) => Math.min(high, Math.max(0, x));

// src/python_code.ts
function imageCode(id) {
  if (id === "example") return "sam_edu.example().image";
  if (id.startsWith("scene-")) return `ablation.prompts_of(${id.slice(6)})[0]`;
  return `sam_edu.image(${JSON.stringify(id === "own" ? STRINGS.pythonImage : `${id}.png`)})`;
}
function promptCode({ points, box }) {
  const given = [];
  if (points.length) {
    given.push(`point_coords=[${points.map(([x, y]) => `[${x}, ${y}]`).join(", ")}]`);
    given.push(`point_labels=[${points.map(([, , label]) => label).join(", ")}]`);
  }
  if (box) given.push(`box=[${box.join(", ")}]`);
  return given.join(", ");
}
function traced(name, { image, prompts }) {
  return [
    "",
    "predictor = sam_edu.Predictor(model)",
    `predictor.set_image(${imageCode(image)})`,
    `with sam_edu.trace(predictor) as ${name}:`,
    `    predictor.predict(${promptCode(prompts)})`
  ];
}
function pythonCode(state, mask, catalogue, other) {
  const before = [];
  const contexts = [];
  const off = state.panel === "clicks" ? [] : state.off;
  const model = catalogue.model === "tiny" ? 'sam_edu.load("tiny")' : `sam_edu.load(${JSON.stringify(catalogue.model)})`;
  if (off.length) {
    if (state.mode === "resample") before.push(...traced("other_click", other));
    const given = { zero: "", mean: "held_out=ablation.load().means", resample: "other=other_click" }[state.mode];
    before.push("", `references = ablation.References(${given})`);
    for (const name of off) {
      contexts.push(`ablation.ablated(model, ${JSON.stringify(ablation(BY_NAME.get(name), state.mode))}, references)`);
    }
  }
  if (state.panel === "clicks" && state.other && state.transplant) {
    before.push(...traced("kept_click", { image: state.image, prompts: state.other }));
    for (const name of ["k", "v"]) {
      contexts.push(`sam_edu.intervene(model, "${state.transplant}.${name}", "transplant", reference=kept_click)`);
    }
  }
  const weights = Object.entries(state.weights);
  if (weights.length && state.panel !== "clicks") {
    before.push(
      "",
      "def moved(hyper_in):",
      ...weights.map(([channel, weight]) => `    hyper_in[:, ${mask}, ${channel}] = ${weight}`),
      "    return hyper_in"
    );
    contexts.push('sam_edu.intervene(model, "hyper_in", moved)');
  }
  const decode = `predictor.predict(${promptCode({ points: state.points, box: state.box })})`;
  const needsAblation = off.length > 0 || [...before, imageCode(state.image)].some((line) => line.includes("ablation."));
  return [
    "from contextlib import ExitStack",
    "",
    "import sam_edu",
    ...needsAblation ? ["from sam_edu import ablation"] : [],
    "",
    `model = ${model}`,
    ...before,
    "",
    "predictor = sam_edu.Predictor(model)",
    `predictor.set_image(${imageCode(state.image)})`,
    "with ExitStack() as stack:",
    ...contexts.map((context) => `    stack.enter_context(${context})`),
    "    t = stack.enter_context(sam_edu.trace(predictor))",
    `    masks, predicted_iou, low_res = ${decode}`,
    "",
    `logits = t["masks"][0, ${mask}]  # of mask ${mask}; masks and low_res are those of masks 1 to 3`,
    ...state.panel === "attention" ? [`weights = t["${state.attention.of}.weights"][0]  # (heads, queries, keys)`] : [],
    ""
  ].join("\n");
}

// src/tour.ts
var attention = (index, token) => ({ of: ATTENTIONS[index].path, token, scale: "shared" });
var example = () => ({
  image: "example",
  points: [],
  box: null,
  off: [],
  weights: {},
  channels: 32,
  other: null,
  transplant: "",
  mask: null
});
var onExample = (app) => ({ ...example(), points: [app.catalogue.images[0].click] });
var STEP = "transformer.layers.0.cross_attn_token_to_image";
function shareInside(app, weights) {
  const { grid } = app.catalogue, mask = app.masks[3], { width } = app.shown.info, pixel = width / grid;
  let inside = 0, all = 0;
  for (let y = 0; y < grid; y++) {
    for (let x = 0; x < grid; x++) {
      const weight = weights[y * grid + x];
      all += weight;
      if (mask[Math.floor((y + 0.5) * pixel) * width + Math.floor((x + 0.5) * pixel)]) inside += weight;
    }
  }
  return inside / all;
}
function whereTheClickLooks(app) {
  const weights = app.answer?.tensors[ATTENTIONS[1].tensor];
  if (!weights || !app.masks.length) return "";
  return STRINGS.foundLooks(shareInside(app, meanOfHeads(weights, 5)), area(app.masks[3]) / app.masks[3].length);
}
function whatTheObjectAttendsTo(app) {
  const weights = app.answer?.tensors[ATTENTIONS[2].tensor];
  if (!weights || !app.masks.length) return "";
  const [, , queries, keys] = weights.dims;
  const { grid } = app.catalogue, mask = app.masks[3], { width } = app.shown.info, pixel = width / grid;
  const sums = new Float32Array(keys), elsewhere = new Float32Array(keys);
  for (let position = 0; position < queries; position++) {
    const [x, y] = [position % grid, Math.floor(position / grid)];
    const to = mask[Math.floor((y + 0.5) * pixel) * width + Math.floor((x + 0.5) * pixel)] ? sums : elsewhere;
    for (let head = 0; head < HEADS; head++) {
      for (let key3 = 0; key3 < keys; key3++) to[key3] += weights.data[(head * queries + position) * keys + key3];
    }
  }
  const [all, allElsewhere] = [sums, elsewhere].map((each) => each.reduce((a, b) => a + b, 0));
  const order = [...sums.keys()].sort((a, b) => sums[b] - sums[a]);
  const names = tokenNames(promptsOf(app.state));
  return STRINGS.foundAttends(order.slice(0, 2).map((key3) => [names[key3], sums[key3] / all, elsewhere[key3] / allElsewhere]));
}
var STOPS2 = [
  {
    notebook: "00",
    state: (app) => ({ ...onExample(app), panel: "masks", mask: 3 }),
    found: (app) => app.answer ? STRINGS.foundScores([...app.answer.tensors.iou_pred.data.subarray(1)]) : ""
  },
  {
    notebook: "07",
    state: (app) => ({ ...onExample(app), panel: "masks", mask: 1 })
  },
  {
    notebook: "03",
    state: (app) => ({ ...onExample(app), points: [app.catalogue.images[0].click, app.catalogue.second], panel: "masks", mask: 0 }),
    found: (app) => app.answer ? STRINGS.foundScore(app.scoreBefore, app.answer.tensors.iou_pred.data[0]) : ""
  },
  {
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "attention", attention: attention(0, 5) })
  },
  {
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "attention", mask: 3, attention: attention(1, 5) }),
    found: whereTheClickLooks
  },
  {
    notebook: "04",
    state: (app) => ({ ...onExample(app), panel: "attention", mask: 3, attention: attention(2, 5) }),
    found: whatTheObjectAttendsTo
  },
  {
    notebook: "07",
    state: (app) => ({ ...onExample(app), panel: "channels", mask: 3, channels: 4 }),
    found: (app) => STRINGS.foundChannels(fewestChannels(app, ENOUGH), ENOUGH)
  },
  {
    notebook: "02",
    state: (app) => ({ ...onExample(app), panel: "switches", mask: 3, off: [STEP] }),
    found: (app) => !app.catalogue.held_out ? "" : STRINGS.foundEffect(EFFECTS[`${STEP} mean`], EFFECTS[`${STEP} resample`])
  },
  {
    notebook: "05",
    state: (app) => {
      const click = app.catalogue.images[0].click;
      const [x, y] = app.catalogue.second;
      return { ...onExample(app), panel: "clicks", points: [[x, y, 1]], other: { points: [click], box: null } };
    }
  },
  {
    notebook: "09",
    state: (app) => ({ ...onExample(app), panel: "own" })
  }
];
var ENOUGH = 0.9;
var revealed = 0;
function isPredicting(state) {
  return state.stop > 0 && state.stop < STOPS2.length && revealed !== state.stop;
}
function tourStrip(root, app) {
  const number2 = Math.min(app.state.stop, STOPS2.length);
  const stop = STOPS2[number2 - 1], words = STRINGS.stops[number2 - 1];
  const go = (to) => {
    revealed = 0;
    app.set(to >= 1 && to <= STOPS2.length ? { stop: to } : { stop: 0 });
  };
  const open = revealed === number2;
  const found = open ? stop.found?.(app) ?? "" : "";
  const shownKey = `${number2} ${open} ${found}`;
  if (root.dataset.stop === shownKey) return;
  root.dataset.stop = shownKey;
  const button = (words2, act, name, disabled = false) => h("button", { type: "button", "data-act": name, disabled, onclick: () => act() }, words2);
  fill(
    root,
    h("small", {}, STRINGS.stopOf(number2, STOPS2.length)),
    h("h2", {}, words.title),
    h("p", {}, h("strong", {}, `${STRINGS.predictFirst}: `), words.question),
    open ? h("p", { class: "answer" }, found ? h("strong", {}, `${found} `) : null, words.answer) : button(STRINGS.reveal, () => {
      revealed = number2;
      app.set(stop.state(app));
    }, "reveal"),
    notebookLink(app, stop.notebook),
    h(
      "div",
      { class: "actions" },
      button(STRINGS.back, () => go(number2 - 1), "back", number2 === 1),
      button(STRINGS.next, () => go(number2 + 1), "next", number2 === STOPS2.length),
      button("✕", () => go(0), "end-tour")
    )
  );
}

// src/app.ts
var App = class {
  constructor(root, backend, options = {}) {
    this.root = root;
    this.backend = backend;
    this.options = options;
    this.panels = {
      masks: masksPanel,
      attention: attentionPanel,
      channels: channelsPanel,
      switches: switchesPanel,
      clicks: clicksPanel,
      own: ownPanel
    };
  }
  root;
  backend;
  options;
  state = structuredClone(START);
  answer = null;
  shown;
  catalogue;
  /** Masks 0 to 3 of the answer, and their logits, in the image's own pixels. */
  masks = [];
  logits = [];
  own = null;
  /** How many images of one's own were shown: they all have one name. */
  owned = 0;
  images = /* @__PURE__ */ new Map();
  known = /* @__PURE__ */ new Set();
  panels;
  latest = new Latest((_, isLatest) => this.compute(isLatest));
  history = [];
  canvas;
  views = /* @__PURE__ */ new Map();
  announced = "";
  shownPanel = null;
  /** What the panel was drawn from. */
  drawn = [];
  /** The masks that the cards show. */
  carded = [];
  status = h("p", { class: "status", role: "status", "data-state": "loading" });
  problem = h("p", { class: "problem", role: "alert", hidden: true });
  cards = h("div", { class: "cards", role: "group", "aria-label": STRINGS.panels.masks });
  provenance = h("p", { class: "provenance" });
  notes = h("div", { class: "notes" });
  cardsLead = h("p", { class: "cards-lead" });
  map = decoderMap(this);
  offNote = h("p", { class: "off-note", hidden: true });
  images_ = h("div", { class: "images", role: "group", "aria-label": STRINGS.image });
  tabs = h("div", { class: "tabs", role: "tablist" });
  panelRoot = h("div", { class: "panel", role: "tabpanel", tabindex: "0" });
  live = h("p", { class: "hidden", "aria-live": "polite" });
  tour = h("section", { class: "tour", hidden: true });
  code = h("textarea", { class: "code", rows: "12", readonly: true, hidden: true, "aria-label": STRINGS.copyPython });
  async start() {
    this.root.dataset.state = "starting";
    this.backend.onStatus((words, share) => {
      this.status.textContent = words;
      this.status.dataset.state = share === null ? "failed" : share === 1 ? "ready" : "loading";
      this.status.style.setProperty("--share", String(share ?? 0));
    });
    this.catalogue = await this.backend.catalogue();
    this.build();
    await this.setState(this.options.hash ? fromHash(this.options.hash.read()) : structuredClone(START), false);
  }
  // --- State ---
  /** The next change may follow at once. */
  isDragging = false;
  /** Change the state; what depends on it is computed and drawn. */
  set(change, remember = true) {
    this.isDragging = !remember;
    if (remember && ("points" in change || "box" in change)) {
      this.history.push({ points: this.state.points, box: this.state.box });
      if (this.history.length > 100) this.history.shift();
    }
    void this.setState({ ...this.state, ...change }, true);
  }
  /** Take the state that an address holds. */
  open(hash) {
    void this.setState(fromHash(hash), false);
  }
  undo() {
    const before = this.history.pop();
    if (before) this.set(before, false);
  }
  async setState(state, write) {
    this.root.dataset.state = "computing";
    if (state.image === "own" && !this.own) {
      this.show(STRINGS.ownLost);
      state = { ...state, image: "example", points: [], box: null };
    }
    let info = this.catalogue.images.find(({ id }) => id === state.image);
    if (!info && state.image !== "own") {
      info = this.catalogue.images[0];
      state = { ...state, image: info.id, points: [], box: null };
    }
    const { width, height } = state.image === "own" ? this.own.info : info;
    const inside = (x, y) => x <= width && y <= height;
    state.points = state.points.filter(([x, y]) => inside(x, y));
    if (state.box && !(inside(state.box[0], state.box[1]) && inside(state.box[2], state.box[3]))) state.box = null;
    if (!state.points.length && !state.box && !write && info) state.points = [info.click];
    state.attention = { ...state.attention };
    state.attention.token = Math.min(state.attention.token, tokenNames(promptsOf(state)).length - 1);
    const moved = state.image !== this.state.image || !this.shown;
    if (state.panel !== this.state.panel) this.panels[this.state.panel].leave?.(this);
    this.state = state;
    if (moved) {
      const shown = state.image === "own" ? this.own : await this.load(info);
      if (this.state.image !== state.image) return;
      this.shown = shown;
      this.canvas.setImage(shown.pixels);
      this.answer = null;
    }
    this.redraw();
    this.latest.ask(null);
  }
  async load(info) {
    const known = this.images.get(info.id);
    if (known) return known;
    const pixels = await readImage(await this.backend.file(info.file));
    const truths = info.truth ? unpack(new Uint8Array(await (await this.backend.file(info.truth)).arrayBuffer()), info.truths, info.width, info.height) : [];
    const shown = { info, pixels, truths };
    this.images.set(info.id, shown);
    return shown;
  }
  /** Show an image of one's own. */
  async setOwn(file) {
    try {
      const pixels = await readImage(file);
      const { width, height } = pixels;
      const click = [Math.floor(width / 2), Math.floor(height / 2), 1];
      const info = { id: "own", title: STRINGS.ownTitle, note: "", file: "", truth: "", truths: 0, width, height, click };
      this.own = { info, pixels, truths: [] };
      this.owned++;
      this.known.delete("own");
      this.shown = void 0;
      this.show("");
      this.set({ image: "own", points: [], box: null, other: null, mask: null }, false);
      this.announce(STRINGS.ownLoaded(width, height));
    } catch (error) {
      this.show(error instanceof Error ? error.message : String(error));
    }
  }
  // --- Computing ---
  /** The click whose tensors "resample" puts in. */
  get otherClick() {
    return this.catalogue.others.find(({ image }) => image !== this.state.image);
  }
  /** The decode that the panels show. */
  request(outputs) {
    const { state } = this;
    const list = state.panel === "switches" || state.panel === "clicks" ? [] : interventions(state.off, state.mode, this.otherClick);
    const moved = Object.keys(state.weights).length > 0 && state.panel !== "channels" && this.movedWeights;
    if (moved) list.push({ point: "hyper_in", how: "values", values: moved, select: { masks: [this.mask] } });
    return { image: state.image, prompts: promptsOf(state), interventions: list, outputs };
  }
  /** The mask that panels show: the one that was chosen; else mask 0 for several prompts, and for one point the one of
   * masks 1 to 3 whose predicted IoU is highest. */
  get mask() {
    if (this.state.mask !== null) return this.state.mask;
    if (this.state.points.length !== 1 || this.state.box) return 0;
    const predicted = this.answer?.tensors.iou_pred?.data;
    if (!predicted) return 1;
    return [1, 2, 3].reduce((best, number2) => predicted[number2] > predicted[best] ? number2 : best, 1);
  }
  /** Mask 0's predicted IoU for the image's own click alone, known once that was decoded. */
  scoreBefore = null;
  /** The chosen mask's weights with those that were moved; known once the mixing desk has seen them. */
  movedWeights = null;
  /** What results of this image are kept under. */
  get imageKey() {
    return this.state.image === "own" ? `own ${this.owned}` : this.state.image;
  }
  /** Decode something; the image is made known to the back-end before. */
  async decode(request) {
    const images = [request.image, ...request.interventions.flatMap(({ from }) => from ? [from.image] : [])];
    for (const id of new Set(images)) await this.makeKnown(id);
    return this.backend.decode(request);
  }
  async makeKnown(id) {
    if (this.known.has(id)) return;
    const info = this.catalogue.images.find((image) => image.id === id);
    const { pixels } = id === "own" ? this.own : await this.load(info);
    this.known.add(id);
    this.backend.setImage(id, pixels).catch(() => this.known.delete(id));
  }
  /** Compute what the image that is shown alone decides, so that the first click is answered as soon as others. */
  async prepare() {
    const { image } = this.state;
    await this.makeKnown(image);
    await this.backend.prepare?.(image);
  }
  async compute(isLatest) {
    const prompts = promptsOf(this.state);
    if (isEmpty(prompts)) {
      this.answer = null;
      this.masks = this.logits = [];
      this.settle();
      return;
    }
    this.root.dataset.state = "computing";
    const { state } = this;
    const panel = this.panels[state.panel];
    try {
      const asked = this.decode(this.request(["masks", "iou_pred", ...panel.outputs(state)]));
      if (!this.isDragging) panel.ahead?.(this);
      const answer = await asked;
      const now = this.state;
      const tokens = tokenNames(promptsOf(now)).length;
      if (now.image !== state.image || now.panel !== state.panel || tokens !== tokenNames(prompts).length) return;
      this.show("");
      this.answer = answer;
      this.takeMasks(answer);
      const [first] = this.catalogue.images;
      if (JSON.stringify([state.image, prompts]) === JSON.stringify([first.id, { points: [first.click], box: null }])) {
        this.scoreBefore = answer.tensors.iou_pred.data[0];
      }
      const more = isLatest() ? panel.more?.(this, isLatest) : null;
      this.redraw();
      await more;
      if (isLatest()) this.settle();
    } catch (error) {
      if (!isLatest()) return;
      this.show(STRINGS.problem(error instanceof Error ? error.message : String(error)));
      this.root.dataset.state = "failed";
    }
  }
  takeMasks({ tensors }) {
    this.logits = this.enlarged(tensors.masks.data);
    this.masks = this.logits.map(threshold);
  }
  /** The four masks' logits in the image's own pixels. */
  enlarged(logits) {
    const side = 4 * this.catalogue.grid;
    const { width, height } = this.shown.info;
    return [0, 1, 2, 3].map((i) => {
      return enlarge(logits.subarray(i * side * side, (i + 1) * side * side), side, this.catalogue.frame, width, height);
    });
  }
  /** IoU with the best true mask that holds the first positive point; null where no truth is known. */
  trueIou(mask) {
    const truths = this.truths();
    return truths.length ? Math.max(...truths.map((truth) => iou(mask, truth))) : null;
  }
  /** The true masks that hold the first positive point. */
  truths() {
    const { truths, info } = this.shown;
    const click = this.state.points.find(([, , label]) => label === 1);
    return truths.filter((truth) => !click || truth[Math.floor(click[1]) * info.width + Math.floor(click[0])] === 1);
  }
  settle() {
    this.redraw(this.panels[this.state.panel].more !== void 0);
    this.root.dataset.state = "ready";
    this.options.hash?.write(toHash(this.state));
    this.options.onChange?.(this.state, this.answer);
  }
  // --- The page ---
  build() {
    const button = (words, act, name) => {
      return h("button", { type: "button", "data-act": name, onclick: () => act() }, words);
    };
    this.canvas = promptCanvas({
      onPrompts: (change, done) => this.set(change, done),
      onUndo: () => this.undo(),
      replaces: () => this.state.panel === "clicks" && this.state.other !== null,
      announce: (words) => this.announce(words),
      problem: (words) => this.show(words)
    });
    const tools = h(
      "div",
      { class: "tools", role: "toolbar", "aria-label": STRINGS.image },
      ...this.canvas.tools,
      button(STRINGS.undo, () => this.undo(), "undo"),
      button(STRINGS.clear, () => this.set({ points: [], box: null }), "clear")
    );
    for (const info of this.catalogue.images) this.images_.append(this.imageButton(info));
    for (const name of PANELS) {
      this.tabs.append(
        h("button", {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "data-panel": name,
          "aria-controls": "panel",
          onclick: () => this.set({ panel: name })
        }, STRINGS.panels[name])
      );
    }
    this.tabs.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = PANELS[(PANELS.indexOf(this.state.panel) + step + PANELS.length) % PANELS.length];
      this.set({ panel: next });
      this.tabs.querySelector(`[data-panel=${next}]`).focus();
    });
    this.panelRoot.id = "panel";
    fill(
      this.root,
      h(
        "div",
        { class: "head" },
        button(STRINGS.tour, () => this.set({ stop: 1 }), "tour"),
        this.status,
        h(
          "div",
          { class: "share" },
          button(STRINGS.copyLink, () => void this.copy(this.link()), "copy-link"),
          button(STRINGS.copyPython, () => void this.copy(this.python()), "copy-python")
        )
      ),
      this.code,
      this.problem,
      this.catalogue.model === "tiny" ? h("p", { class: "model" }, STRINGS.tiny) : null,
      h(
        "div",
        { class: "page-columns" },
        this.tour,
        h("section", { class: "left", "aria-label": STRINGS.image }, this.images_, this.canvas.element, h("p", { class: "keys" }, STRINGS.keys), tools, this.cards, this.cardsLead, this.provenance, this.notes),
        this.map.element,
        h("section", { class: "right" }, this.offNote, this.tabs, this.panelRoot)
      ),
      this.live
    );
    document.addEventListener("paste", (event) => {
      if (!this.root.isConnected || !event.clipboardData?.files.length) return;
      void this.setOwn(event.clipboardData.files[0]);
    });
    const drop = this.root;
    drop.addEventListener("dragover", (event) => event.preventDefault());
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) void this.setOwn(file);
      else this.show(STRINGS.noFile);
    });
  }
  imageButton(info) {
    const thumbnail = h("img", { alt: "", width: "44", height: "44" });
    void this.backend.file(info.file).then((blob) => thumbnail.src = URL.createObjectURL(blob));
    return h("button", {
      type: "button",
      "data-image": info.id,
      title: info.title,
      "aria-label": `${STRINGS.image}: ${info.title}`,
      onclick: () => this.set({ image: info.id, points: [info.click], box: null, other: null, mask: null })
    }, thumbnail);
  }
  /** Draw everything from the state and the last answer; the panel where something of it has changed, or `force`. */
  redraw(force = false) {
    const { state } = this;
    if (!this.shown) return;
    for (const tab of this.tabs.children) {
      const chosen2 = tab.dataset.panel === state.panel;
      tab.setAttribute("aria-selected", String(chosen2));
      tab.tabIndex = chosen2 ? 0 : -1;
      if (chosen2 && this.shownPanel !== state.panel) this.tabs.scrollLeft = tab.offsetLeft - this.tabs.offsetLeft - 40;
    }
    this.shownPanel = state.panel;
    for (const button of this.images_.children) {
      button.setAttribute("aria-pressed", String(button.dataset.image === state.image));
    }
    this.canvas.draw(state.points, state.box, this.overlays());
    this.drawCards();
    this.offNote.hidden = state.off.length === 0 || state.panel === "switches" || state.panel === "clicks";
    if (!this.offNote.hidden) {
      fill(
        this.offNote,
        `${STRINGS.offIn(state.off.map(partName).join(", "), STRINGS.modeLong[state.mode])} `,
        h("button", { type: "button", onclick: () => this.set({ off: [] }) }, STRINGS.allOn)
      );
    }
    this.provenance.textContent = this.answer ? this.answer.provenance === "stored" ? STRINGS.storedHere : STRINGS.computedNow(this.answer.milliseconds) : isEmpty(promptsOf(state)) ? STRINGS.noPrompt : STRINGS.computing;
    refill(
      this.notes,
      state.off.length > 0 && this.offNote.hidden ? h("p", {}, STRINGS.intact) : null,
      state.panel === "clicks" && state.transplant ? h("p", {}, STRINGS.withoutTransplant) : null,
      this.answer ? h("p", {}, this.masks.length && !this.truths().length ? STRINGS.noTruth : STRINGS.trueIou) : null
    );
    this.provenance.dataset.provenance = this.answer?.provenance ?? "none";
    this.map.draw();
    this.root.toggleAttribute("data-predicting", isPredicting(state));
    this.cardsLead.hidden = !this.answer;
    this.panelRoot.setAttribute("aria-labelledby", `tab-${state.panel}`);
    let view = this.views.get(state.panel);
    if (!view) {
      view = this.panels[state.panel].view(this);
      this.views.set(state.panel, view);
    }
    if (this.panelRoot.firstElementChild !== view.element) fill(this.panelRoot, view.element);
    const { points: _, box: __, ...rest } = state;
    const drawn = [this.answer, this.shown, view, isEmpty(promptsOf(state)), JSON.stringify(rest)];
    if (force || drawn.some((one, i) => one !== this.drawn[i])) {
      this.drawn = drawn;
      view.draw();
    }
    this.tour.hidden = state.stop === 0;
    if (state.stop) tourStrip(this.tour, this);
    this.announcePrompts();
  }
  /** The chosen mask, tinted; for one point the outlines of masks 1 to 3 below it. */
  overlays() {
    if (!this.masks.length || isPredicting(this.state)) return [];
    const chosen2 = { mask: this.masks[this.mask], number: this.mask, dims: true, thick: 2 };
    if (this.state.points.length !== 1 || this.state.box) return [chosen2];
    const others = [3, 2, 1].filter((number2) => number2 !== this.mask);
    return [...others.map((number2) => ({ mask: this.masks[number2], number: number2, dims: false })), chosen2];
  }
  drawCards() {
    const { answer } = this;
    if (!answer || !this.masks.length) {
      fill(this.cards);
      this.carded = [];
      return;
    }
    const predicted = answer.tensors.iou_pred.data;
    if (this.cards.childElementCount !== 4) {
      fill(this.cards, ...[0, 1, 2, 3].map((number2) => this.card(number2)));
    }
    const rule = this.state.points.length === 1 && !this.state.box ? STRINGS.byRule : STRINGS.byRuleMany;
    this.cardsLead.textContent = `${(this.state.mask === null ? rule : STRINGS.bySetting)(this.mask)} ${STRINGS.chooseMask}`;
    const { pixels, info } = this.shown;
    [...this.cards.children].forEach((element, number2) => {
      const card = element;
      const chosen2 = this.mask === number2;
      card.setAttribute("aria-pressed", String(chosen2));
      if (this.carded === this.masks) return;
      const mask = this.masks[number2];
      const canvas = card.querySelector("canvas");
      drawImage(canvas, pixels.rgb, info.width, info.height, [{ mask, number: number2, dims: true }]);
      canvas.setAttribute("aria-label", `${STRINGS.maskName(number2)}: ${STRINGS.coversOf(area(mask) / mask.length)}`);
      canvas.dataset.area = String(area(mask));
      const truth = this.trueIou(mask);
      const [first, second] = card.querySelectorAll("dd");
      first.textContent = predicted[number2].toFixed(3);
      first.dataset.value = String(predicted[number2]);
      second.textContent = truth === null ? "–" : truth.toFixed(3);
      second.dataset.value = truth === null ? "" : String(truth);
    });
    this.carded = this.masks;
  }
  card(number2) {
    return h(
      "button",
      {
        type: "button",
        class: "card",
        "data-mask": number2,
        title: STRINGS.choose(number2),
        style: `--mask: ${COLOURS.masks[number2]}`,
        onclick: () => this.set({ mask: number2 })
      },
      h("canvas", { role: "img" }),
      h("strong", {}, STRINGS.maskName(number2)),
      h("dl", {}, h("dt", {}, STRINGS.predicted), h("dd", {}), h("dt", {}, STRINGS.truth), h("dd", {})),
      h("small", {}, STRINGS.maskRole[number2])
    );
  }
  // --- Words ---
  /** Show a problem, or nothing. */
  show(words) {
    this.problem.textContent = words;
    this.problem.hidden = !words;
  }
  announce(words) {
    this.live.textContent = words;
  }
  announcePrompts() {
    const words = STRINGS.promptsNow(this.state.points.length, this.state.box !== null);
    if (words !== this.announced) this.announce(words);
    this.announced = words;
  }
  // --- Taking along ---
  link() {
    const base = typeof location === "undefined" ? "" : location.href.replace(/#.*$/, "");
    return base + toHash(this.state);
  }
  python() {
    return pythonCode(this.state, this.mask, this.catalogue, this.otherClick);
  }
  async copy(text) {
    this.code.value = text;
    this.code.hidden = false;
    try {
      await navigator.clipboard.writeText(text);
      this.announce(STRINGS.copied);
      this.status.textContent = STRINGS.copied;
    } catch {
      this.show(STRINGS.notCopied);
      this.code.select();
    }
  }
};
function partName(name) {
  const part = BY_NAME.get(name);
  const step = STRINGS.step(part.number, part.block);
  return part.head === null ? step : `${step}, ${STRINGS.head(part.head)}`;
}
var HELD_OUT_WORDS = STRINGS.heldOut(HELD_OUT.clicks, HELD_OUT.scenes);

// src/python/backend.ts
var PythonBackend = class {
  constructor(ask) {
    this.ask = ask;
  }
  ask;
  async catalogue() {
    return (await this.ask({ kind: "catalogue" }))[0];
  }
  async file(name) {
    const [, [bytes]] = await this.ask({ kind: "file", name });
    return new Blob([bytes]);
  }
  onStatus(listener) {
    listener(STRINGS.readyPython, 1);
  }
  async setImage(id, { width, height, rgb: rgb2 }) {
    await this.ask({ kind: "image", id, width, height }, rgb2);
  }
  async decode(request) {
    const [{ tensors: shapes, milliseconds }, buffers] = await this.ask({ kind: "decode", ...request });
    const tensors = {};
    shapes.forEach(([name, dims], i) => {
      const { buffer, byteOffset, byteLength } = buffers[i];
      tensors[name] = { dims, data: new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength)) };
    });
    return { tensors, provenance: "now", milliseconds };
  }
};

// src/widget.ts
function render({ model, el }) {
  let number2 = 0;
  const open = /* @__PURE__ */ new Map();
  const receive = (answer, buffers) => {
    const waiting = open.get(answer.number);
    if (!waiting) return;
    open.delete(answer.number);
    if (answer.error) waiting.reject(new Error(String(answer.error)));
    else waiting.resolve([answer, buffers]);
  };
  model.on("msg:custom", receive);
  const ask = (question, bytes) => {
    return new Promise((resolve, reject) => {
      open.set(++number2, { resolve, reject });
      model.send({ ...question, number: number2 }, void 0, bytes ? [bytes] : []);
    });
  };
  const root = document.createElement("div");
  root.className = "explorer";
  el.append(root);
  const app = new App(root, new PythonBackend(ask), {
    hash: { read: () => String(model.get("state") ?? ""), write: () => void 0 },
    pages: String(model.get("pages") ?? ""),
    onChange: (state) => {
      model.set("state", toHash(state));
      model.save_changes();
    }
  });
  app.start().catch((error) => {
    root.textContent = STRINGS.problem(error instanceof Error ? error.message : String(error));
  });
  return () => model.off("msg:custom", receive);
}
var widget_default = { render };
export {
  widget_default as default
};
