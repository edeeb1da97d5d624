"""The count of tokens is never below what byte-pair tokenizers make of the same text."""

import json
import subprocess
import sys
import threading

import pytest

from toolcrib_server.selection.tokens import TokenCounter

REAL = {
    # Each text with its tokens in OpenAI's o200k_base and cl100k_base, the larger of the two,
    # measured once with tiktoken 0.14.
    "Преобразовать время в другой часовой пояс и показать рейсы": 24,
    "把这个时间转换为另一个时区并列出所有可用的航班。": 25,
    "แปลงเวลาเป็นเขตเวลาอื่น": 22,
    "समय को दूसरे समय क्षेत्र में बदलें": 33,
    "تحويل الوقت إلى منطقة زمنية أخرى": 23,
    "Überprüfung der Grundstücksverkehrsgenehmigungszuständigkeit": 19,
    "🚀🔥👩‍👩‍👧‍👦 deploy ✅": 27,
    "deadbeef0123456789abcdef" * 20: 160,
    "550e8400-e29b-41d4-a716-446655440000": 18,
    "https://example.com/a/b/c?x=1&y=%20z#frag": 18,
    "a" + " " * 500 + "b": 7,
    "a\u200b\u200bb\u2060\ufeff c": 7,
}


@pytest.fixture(scope="module")
def count() -> TokenCounter:
    return TokenCounter()


@pytest.mark.parametrize("text", REAL)
def test_it_is_never_below_a_byte_pair_count(count, text):
    assert count(text) >= REAL[text]


def test_plain_words_are_one_token_each(count):
    assert count("convert the time to another zone") == 6
    assert count("") == 0


def test_what_has_no_word_is_counted_by_its_bytes(count):
    blob = "x1" * 200
    assert count(blob) == 400
    assert count("\ue000") == 3
    assert count("\ud800") >= 1


def test_lines_add_up(count):
    lines = ["1. time__convert(zone: string): Convert it.", "2. 把这个时间", "", 'x {"a": [1]}']
    assert count("\n".join(lines)) == sum(map(count, lines)) + len(lines) - 1


def test_json_adds_up(count):
    items = [{"name": f"time__t{i}", "n": i, "d": "Tell “it”, then."} for i in range(5)]
    parts = [count(json.dumps(item, ensure_ascii=False)) for item in items]
    assert count(json.dumps(items, ensure_ascii=False)) == sum(parts) + 4 + 2


def test_threads_share_one_vocabulary():
    count, found = TokenCounter(), []
    threads = [threading.Thread(target=lambda: found.append(count("a b c"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert found == [3] * 4


def test_it_is_not_opened_before_it_is_asked():
    code = (
        "import sys; import toolcrib_server.runtime; "
        "from toolcrib_server.selection.tokens import TokenCounter; TokenCounter(); "
        "print(sorted({'tokenizers', 'numpy', 'faiss', 'onnxruntime'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert ran.stdout.strip() == b"[]"
