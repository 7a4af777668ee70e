// The step of a causal transformer on a CPU: one new position of a few items through all blocks (nn/swift.py).
//
// What makes one frame after another is bound by how fast its weights are read; so every weight is read once, in as few bits
// as it is stored in, and meets all items while it is in registers.  The mathematics is that of nn/transformer.py.
//
// Threads share out heads and rows of matrices, and wait for each other only where one needs what others made: six times
// a block.  A sum over a row is taken in the same order whatever the number of items or threads: same request, same bytes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#ifdef __AVX512BW__
constexpr long LANES = 16;
#else
constexpr long LANES = 8;
#endif
constexpr long BLOCK = 32;    // columns of a matrix that lie together; in 4 bits they share a scale (nn/compact.py)
constexpr long AHEAD = 4096;  // bytes: what is fetched while these are multiplied
constexpr long PART = 64;     // rows that threads share out together

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Whole __attribute__((vector_size(4 * LANES)));
typedef int16_t Pairs __attribute__((vector_size(4 * LANES)));

template <class Vector, class Item> static inline Vector load(const Item* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

// Small whole numbers, widened, and sums of products of neighbours.  Compilers do not find these instructions by themselves,
// and are ten times as slow without.
#if defined(__AVX512BW__)
static inline Whole whole(const uint8_t* from) { return (Whole)_mm512_cvtepu8_epi32(load<__m128i>(from)); }
static inline Whole whole(const uint16_t* from) { return (Whole)_mm512_cvtepu16_epi32(load<__m256i>(from)); }
static inline Pairs pairs(const int8_t* from) { return (Pairs)_mm512_cvtepi8_epi16(load<__m256i>(from)); }
#ifdef __AVX512VNNI__
static inline Whole meet(Whole sum, Pairs a, Pairs b) { return (Whole)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b); }
#else
static inline Whole meet(Whole sum, Pairs a, Pairs b) { return sum + (Whole)_mm512_madd_epi16((__m512i)a, (__m512i)b); }
#endif
#elif defined(__AVX2__)
static inline Whole whole(const uint8_t* from) { return (Whole)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)from)); }
static inline Whole whole(const uint16_t* from) { return (Whole)_mm256_cvtepu16_epi32(load<__m128i>(from)); }
static inline Pairs pairs(const int8_t* from) { return (Pairs)_mm256_cvtepi8_epi16(load<__m128i>(from)); }
static inline Whole meet(Whole sum, Pairs a, Pairs b) { return sum + (Whole)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
#else
template <class Small> static inline Whole whole(const Small* from) {
  Whole vector;
  for (long lane = 0; lane < LANES; lane++) vector[lane] = from[lane];
  return vector;
}
static inline Pairs pairs(const int8_t* from) {
  Pairs vector;
  for (long lane = 0; lane < 2 * LANES; lane++) vector[lane] = from[lane];
  return vector;
}
static inline Whole meet(Whole sum, Pairs a, Pairs b) {
  for (long lane = 0; lane < LANES; lane++) sum[lane] += a[2 * lane] * b[2 * lane] + a[2 * lane + 1] * b[2 * lane + 1];
  return sum;
}
#endif
static inline Floats meet(Floats sum, Floats a, Floats b) { return sum + a * b; }

static inline float widen(uint16_t half) {
  uint32_t bits = uint32_t(half) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

static inline uint16_t narrow(float wide) {  // to the nearest, to even ones of two
  uint32_t bits;
  std::memcpy(&bits, &wide, sizeof bits);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Numbers of the past, which have 32 bits or 16.
static inline float one(float value) { return value; }
static inline float one(uint16_t value) { return widen(value); }
static inline Floats wide(const float* from) { return load<Floats>(from); }
static inline Floats wide(const uint16_t* from) { return (Floats)(whole(from) << 16); }
static inline void put(float* to, float value) { *to = value; }
static inline void put(uint16_t* to, float value) { *to = narrow(value); }

// ---- Matrices ----
//
// Four rows of a matrix lie side by side, 32 columns at a time (nn/native.py packs them, with zeros where a row or column is
// missing): so a matrix is one stream, which memory gives twice as fast as four.  Each kind says what it is multiplied with, and
// gives the vector of row n of a block from its column j on.

struct Floating {
  using Item = float;
  using Vector = Floats;
  using Sums = Floats;
  static constexpr long STEP = LANES;
};

struct Full : Floating {
  static constexpr long SIZE = 4 * BLOCK * 4;  // bytes of a block
  static Floats at(const char* block, const uint32_t*, long n, long j) { return load<Floats>((const float*)block + n * BLOCK + j); }
};

struct Half : Floating {
  static constexpr long SIZE = 4 * BLOCK * 2;
  static Floats at(const char* block, const uint32_t*, long n, long j) {
    return (Floats)(whole((const uint16_t*)block + n * BLOCK + j) << 16);
  }
};

struct Four : Floating {  // byte j of a row's 16 holds its weights j (low) and j + 16 (high)
  static constexpr long SIZE = 4 * BLOCK / 2;
  static Floats at(const char* block, const uint32_t* told, long n, long j) {  // told: a scale, and above it the least weight
    const Whole bytes = whole((const uint8_t*)block + n * BLOCK / 2 + j % (BLOCK / 2)), both = Whole{} + int32_t(told[n]);
    const Whole nibbles = j < BLOCK / 2 ? bytes & 15 : bytes >> 4;
    return __builtin_convertvector(nibbles, Floats) * (Floats)(both << 16) + (Floats)(both & int32_t(0xffff0000));
  }
};

struct Eight {  // multiplied with whole numbers of 16 bits: twice as many fit into a register
  using Item = int16_t;
  using Vector = Pairs;
  using Sums = Whole;
  static constexpr long STEP = 2 * LANES, SIZE = 4 * BLOCK;
  static Pairs at(const char* block, const uint32_t*, long n, long j) { return pairs((const int8_t*)block + n * BLOCK + j); }
};

template <class Sums> static inline float total(Sums sums) {
  float sum = 0;
  for (long lane = 0; lane < LANES; lane++) sum += float(sums[lane]);
  return sum;
}

// Four rows times one item or a pair: eight sums in flight keep a processor busy.  made "pair row".
template <bool PAIR, class Kind>
static inline void tile(const char* strip, const uint32_t* told, long blocks, const typename Kind::Item* x, float* made) {
  using Vector = typename Kind::Vector;
  const typename Kind::Item* other = PAIR ? x + blocks * BLOCK : x;
  typename Kind::Sums a0{}, a1{}, a2{}, a3{}, b0{}, b1{}, b2{}, b3{};
  for (long block = 0; block < blocks; block++, strip += Kind::SIZE, told += 4, x += BLOCK, other += BLOCK) {
    for (long line = 0; line < Kind::SIZE; line += 64) __builtin_prefetch(strip + AHEAD + line);
#pragma GCC unroll 1  // more, and sums are moved out of registers
    for (long j = 0; j < BLOCK; j += Kind::STEP) {
      const Vector a = load<Vector>(x + j), b = load<Vector>(other + j);
      const Vector w0 = Kind::at(strip, told, 0, j), w1 = Kind::at(strip, told, 1, j);
      const Vector w2 = Kind::at(strip, told, 2, j), w3 = Kind::at(strip, told, 3, j);
      a0 = meet(a0, w0, a), a1 = meet(a1, w1, a), a2 = meet(a2, w2, a), a3 = meet(a3, w3, a);
      if (PAIR) b0 = meet(b0, w0, b), b1 = meet(b1, w1, b), b2 = meet(b2, w2, b), b3 = meet(b3, w3, b);
    }
  }
  made[0] = total(a0), made[1] = total(a1), made[2] = total(a2), made[3] = total(a3);
  if (PAIR) made[4] = total(b0), made[5] = total(b1), made[6] = total(b2), made[7] = total(b3);
}

extern "C" {

enum Kind : int64_t { FULL, HALF, EIGHT, FOUR };

struct Matrix {
  const void* weight;
  const void* scale;
  int64_t kind, width, height;
};

struct Norm {
  const float *weight, *bias;
};

struct Block {  // in the order of nn/swift.py's Weights; what a backbone or block lacks is null
  Matrix skip;  // from the stream and what an earlier block has left of it, side by side
  const float* skip_bias;
  const float* local;
  Norm attention_norm;
  Matrix query, key_value, out;
  Norm cross_norm;
  Matrix cross_query, cross_out;
  Norm feedforward_norm;
  Matrix expand, contract;
};

struct Past {  // of one block; keys and values "item head position dim"
  void *key, *value;
  const void *told_key, *told_value;
  float* recent;  // "item width taps - 1"
};

struct Shape {
  int64_t items, width, heads, inner, taps, skips, threads;
  int64_t length, room;      // positions so far, and how many there is room for
  int64_t told, told_room;   // the same of the context
  int64_t half;              // whether keys and values take 16 bits
  const uint8_t* told_mask;  // "item told", or null: all are attended to
  const float *cosines, *sines;  // "item dim", or null: nothing is turned
};
}

// What a matrix is multiplied with, in whole blocks: floats, or whole numbers of 16 bits and what 1 stands for in each item.
// Every thread keeps its own.
struct Ready {
  std::vector<float> floats, steps;
  std::vector<int16_t> whole;
  const float* wide;
  long items;

  void be(const Matrix& m, const float* x, long many) {
    const long width = (m.width + BLOCK - 1) / BLOCK * BLOCK;
    items = many;
    wide = x;
    if (m.kind == EIGHT) {
      round(x, m.width, width);
    } else if (width != m.width) {
      floats.assign(items * width, 0);
      for (long i = 0; i < items; i++) std::copy_n(x + i * m.width, m.width, &floats[i * width]);
      wide = floats.data();
    }
  }

  void round(const float* x, long count, long width) {
    const float most = std::min(32767.0f, 2147483647.0f / (127 * (width / LANES)) - 1);  // sums of products must not overflow
    whole.assign(items * width, 0);
    steps.resize(items);
    for (long i = 0; i < items; i++, x += count) {
      float peak = 1e-30f;
      for (long k = 0; k < count; k++) peak = std::max(peak, std::fabs(x[k]));
      for (long k = 0; k < count; k++) whole[i * width + k] = int16_t(std::nearbyint(x[k] * (most / peak)));
      steps[i] = peak / most;
    }
  }

  const float* of(float) const { return wide; }
  const int16_t* of(int16_t) const { return whole.data(); }
};

// Rows begin to end of W x, y "item height", for items first to last.
template <class Kind>
static void rows(const Matrix& m, long begin, long end, const Ready& x, long first, long last, float* y) {
  const long blocks = (m.width + BLOCK - 1) / BLOCK;
  const typename Kind::Item* items = x.of(typename Kind::Item());
  const float* scales = m.kind == EIGHT ? (const float*)m.scale : nullptr;
  for (long row = begin - begin % 4; row < end; row += 4) {
    const char* strip = (const char*)m.weight + row / 4 * blocks * Kind::SIZE;
    const uint32_t* told = (const uint32_t*)m.scale + row * blocks;
    for (long i = first; i < last; i += 2) {
      float made[8];
      const long pair = std::min(2L, last - i);
      pair == 2 ? tile<true, Kind>(strip, told, blocks, items + i * blocks * BLOCK, made)
                : tile<false, Kind>(strip, told, blocks, items + i * blocks * BLOCK, made);
      for (long n = 0; n < 4 * pair; n++)
        if (const long here = row + n % 4; begin <= here && here < end)
          y[(i + n / 4) * m.height + here] = made[n] * (scales ? scales[here] * x.steps[i + n / 4] : 1);
    }
  }
}

// Rows begin to end of W x, y "item height".
static void multiply(const Matrix& m, long begin, long end, const Ready& x, float* y) {
  for (long first = 0; first < x.items; first += 64) {  // so many stay in a cache
    const long last = std::min(first + 64, x.items);
    if (m.kind == FULL) rows<Full>(m, begin, end, x, first, last, y);
    if (m.kind == HALF) rows<Half>(m, begin, end, x, first, last, y);
    if (m.kind == EIGHT) rows<Eight>(m, begin, end, x, first, last, y);
    if (m.kind == FOUR) rows<Four>(m, begin, end, x, first, last, y);
  }
}

static void normalise(const float* x, const Norm& norm, long items, long width, float* y) {
  for (long i = 0; i < items; i++, x += width, y += width) {
    double sum = 0, squares = 0;
    for (long k = 0; k < width; k++) sum += x[k];
    const float mean = float(sum / width);
    for (long k = 0; k < width; k++) squares += double(x[k] - mean) * (x[k] - mean);
    const float scale = float(1 / std::sqrt(squares / width + 1e-5));
    for (long k = 0; k < width; k++) y[k] = (x[k] - mean) * scale * norm.weight[k] + norm.bias[k];
  }
}

// A depthwise convolution that ends at this position.
static void mix(float* y, const float* recent, const float* local, long items, long width, long taps) {
  for (long c = 0; c < items * width; c++) {
    const float* weight = local + c % width * taps;
    float sum = y[c] * (1 + weight[taps - 1]);
    for (long tap = 0; tap < taps - 1; tap++) sum += recent[c * (taps - 1) + tap] * weight[tap];
    y[c] = sum;
  }
}

static void shift(float* recent, const float* y, long items, long width, long taps) {
  for (long c = 0; c < items * width; c++, recent += taps - 1) {
    std::move(recent + 1, recent + taps - 1, recent);
    recent[taps - 2] = y[c];
  }
}

static void turn(float* x, const float* cosines, const float* sines, long dim) {
  for (long first = 0, second = dim / 2; second < dim; first++, second++) {
    const float a = x[first], b = x[second];
    x[first] = a * cosines[first] - b * sines[first];
    x[second] = b * cosines[second] + a * sines[second];
  }
}

// x -> x Phi(x), with the error function of Abramowitz and Stegun 7.1.26, which is off by 1.5e-7 at most.
static void gelu(float* x, long count) {
  for (long i = 0; i < count; i++) {
    const float z = std::fabs(x[i]) * float(M_SQRT1_2), t = 1 / (1 + 0.3275911f * z);
    const float series = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const float rest = 0.5f * series * std::exp(-z * z);  // Phi(-|x|)
    x[i] *= x[i] < 0 ? rest : 1 - rest;
  }
}

// Scores become shares of 1; the mask, if there is one, marks those that count.
static void softmax(float* scores, long length, const uint8_t* mask, float scale) {
  float most = -1e30f, all = 0;
  for (long s = 0; s < length; s++) {
    scores[s] = mask && !mask[s] ? -1e30f : scores[s] * scale;
    most = std::max(most, scores[s]);
  }
  for (long s = 0; s < length; s++) {
    scores[s] = std::exp(scores[s] - most);
    all += scores[s];
  }
  for (long s = 0; s < length; s++) scores[s] /= all;
}

// Attention of one query to `length` positions.
template <class Stored>
static void look(const float* query, const Stored* key, const Stored* value, long length, long dim, const uint8_t* mask,
                 float* scores, float* out) {
  const long even = dim - dim % LANES;
  for (long s = 0; s < length; s++) {
    Floats sums{};
    for (long d = 0; d < even; d += LANES) sums += load<Floats>(query + d) * wide(key + s * dim + d);
    scores[s] = total(sums);
    for (long d = even; d < dim; d++) scores[s] += query[d] * one(key[s * dim + d]);
  }
  softmax(scores, length, mask, 1 / std::sqrt(float(dim)));
  for (long d = 0; d < even; d += 2 * LANES) {
    const long next = std::min(d + LANES, even - LANES);
    Floats first{}, second{};
    for (long s = 0; s < length; s++) {
      first += scores[s] * wide(value + s * dim + d);
      second += scores[s] * wide(value + s * dim + next);
    }
    std::memcpy(out + d, &first, sizeof first);
    std::memcpy(out + next, &second, sizeof second);
  }
  for (long d = even; d < dim; d++) {
    out[d] = 0;
    for (long s = 0; s < length; s++) out[d] += scores[s] * one(value[s * dim + d]);
  }
}

// What the items of one step pass between threads.
struct Shared {
  std::vector<float> query, key_value, attended, hidden, added;
  std::vector<std::vector<float>> left;  // of the first blocks, for the last ones
  explicit Shared(const Shape& s)
      : query(s.items * s.width), key_value(2 * s.items * s.width), attended(s.items * s.width), hidden(s.items * s.inner),
        added(s.items * s.width) {}
};

// What a thread needs of its own.
struct Own {
  std::vector<float> y, before, scores, both;
  Ready ready;
  explicit Own(const Shape& s)
      : y(s.items * s.width), before(s.taps ? y.size() : 0), scores(std::max(s.length + 1, s.told)) {}
};

// Query, key and value of a head from what is ready, and its attention to the past and to this position, which joins the past.
template <class Stored>
static void hear(const Block& block, const Past& past, const Shape& s, long head, Own& own, Shared& all) {
  const long dim = s.width / s.heads, begin = head * dim, end = begin + dim;
  multiply(block.query, begin, end, own.ready, all.query.data());
  multiply(block.key_value, begin, end, own.ready, all.key_value.data());
  multiply(block.key_value, s.width + begin, s.width + end, own.ready, all.key_value.data());
  for (long i = 0; i < s.items; i++) {
    const long here = i * s.width + begin, place = (i * s.heads + head) * s.room * dim;
    float *query = &all.query[here], *key = &all.key_value[here + i * s.width], *value = key + s.width;
    if (s.cosines) {
      turn(query, s.cosines + i * dim, s.sines + i * dim, dim);
      turn(key, s.cosines + i * dim, s.sines + i * dim, dim);
    }
    Stored *keys = (Stored*)past.key + place, *values = (Stored*)past.value + place;
    for (long d = 0; d < dim; d++) {
      put(keys + s.length * dim + d, key[d]);
      put(values + s.length * dim + d, value[d]);
    }
    look<Stored>(query, keys, values, s.length + 1, dim, nullptr, own.scores.data(), &all.attended[here]);
  }
}

// The same of the context, which is as it was.
template <class Stored>
static void hear_told(const Block& block, const Past& past, const Shape& s, long head, Own& own, Shared& all) {
  const long dim = s.width / s.heads, begin = head * dim;
  multiply(block.cross_query, begin, begin + dim, own.ready, all.query.data());
  for (long i = 0; i < s.items; i++) {
    const long here = i * s.width + begin, place = (i * s.heads + head) * s.told_room * dim;
    const uint8_t* mask = s.told_mask ? s.told_mask + i * s.told : nullptr;
    look<Stored>(&all.query[here], (const Stored*)past.told_key + place, (const Stored*)past.told_value + place, s.told, dim,
                 mask, own.scores.data(), &all.attended[here]);
  }
}

// x + W y, by all threads.
static void add(float* x, const Matrix& m, const float* y, const Shape& s, Own& own, Shared& all) {
  own.ready.be(m, y, s.items);
#pragma omp for schedule(static)
  for (long begin = 0; begin < m.height; begin += PART) {
    const long end = std::min(begin + PART, long(m.height));
    multiply(m, begin, end, own.ready, all.added.data());
    for (long i = 0; i < s.items; i++)
      for (long row = begin; row < end; row++) x[i * s.width + row] += all.added[i * s.width + row];
  }
}

// W of the stream beside what an earlier block has left, which becomes the stream.
static void join(float* x, const Block& block, const Shape& s, Own& own, Shared& all) {
  own.both.resize(2 * s.items * s.width);
  for (long i = 0; i < s.items; i++) {
    std::copy_n(x + i * s.width, s.width, &own.both[2 * i * s.width]);
    std::copy_n(&all.left.back()[i * s.width], s.width, &own.both[(2 * i + 1) * s.width]);
  }
  own.ready.be(block.skip, own.both.data(), s.items);
#pragma omp for schedule(static)
  for (long begin = 0; begin < s.width; begin += PART)
    multiply(block.skip, begin, std::min(begin + PART, long(s.width)), own.ready, all.added.data());
#pragma omp single
  {
    all.left.pop_back();
    for (long i = 0; i < s.items; i++)
      for (long k = 0; k < s.width; k++) x[i * s.width + k] = all.added[i * s.width + k] + block.skip_bias[k];
  }
}

template <class Stored>
static void through_block(float* x, const Block& block, const Past& past, const Shape& s, Own& own, Shared& all) {
  normalise(x, block.attention_norm, s.items, s.width, own.y.data());
  if (s.taps) {
    own.before = own.y;
    mix(own.y.data(), past.recent, block.local, s.items, s.width, s.taps);
  }
  own.ready.be(block.query, own.y.data(), s.items);
#pragma omp for schedule(static)
  for (long head = 0; head < s.heads; head++) hear<Stored>(block, past, s, head, own, all);
#pragma omp single nowait
  if (s.taps > 1) shift(past.recent, own.before.data(), s.items, s.width, s.taps);
  add(x, block.out, all.attended.data(), s, own, all);
  if (past.told_key) {
    normalise(x, block.cross_norm, s.items, s.width, own.y.data());
    own.ready.be(block.cross_query, own.y.data(), s.items);
#pragma omp for schedule(static)
    for (long head = 0; head < s.heads; head++) hear_told<Stored>(block, past, s, head, own, all);
    add(x, block.cross_out, all.attended.data(), s, own, all);
  }
  normalise(x, block.feedforward_norm, s.items, s.width, own.y.data());
  own.ready.be(block.expand, own.y.data(), s.items);
#pragma omp for schedule(static)
  for (long begin = 0; begin < s.inner; begin += PART) {
    const long end = std::min(begin + PART, long(s.inner));
    multiply(block.expand, begin, end, own.ready, all.hidden.data());
    for (long i = 0; i < s.items; i++) gelu(&all.hidden[i * s.inner + begin], end - begin);
  }
  add(x, block.contract, all.hidden.data(), s, own, all);
}

template <class Stored> static void through(float* x, const Block* blocks, const Past* pasts, long count, const Shape& s) {
  Shared all(s);
#pragma omp parallel num_threads(s.threads)
  {
    Own own(s);
    for (long b = 0; b < count; b++) {
      if (blocks[b].skip.weight) join(x, blocks[b], s, own, all);
      through_block<Stored>(x, blocks[b], pasts[b], s, own, all);
#pragma omp single
      if (b < s.skips) all.left.emplace_back(x, x + s.items * s.width);
    }
  }
}

extern "C" {

// x "item width" after all blocks, in place; the pasts are one position longer.
void step(float* x, const Block* blocks, const Past* pasts, int64_t count, const Shape* shape) {
  if (shape->half)
    through<uint16_t>(x, blocks, pasts, count, *shape);
  else
    through<float>(x, blocks, pasts, count, *shape);
}

// y = W x, "item height".
void product(const Matrix* m, const float* x, int64_t items, float* y, int64_t threads) {
#pragma omp parallel num_threads(threads)
  {
    Ready ready;
    ready.be(*m, x, items);
#pragma omp for schedule(static)
    for (long begin = 0; begin < m->height; begin += PART) multiply(*m, begin, std::min(begin + PART, long(m->height)), ready, y);
  }
}
}
