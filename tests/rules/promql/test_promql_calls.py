import pytest

SERIES = """
    a{i="1"} 0+10x10
    a{i="2"} 5+0x10
    b{i="1"} -2.5+0x10
"""


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("abs(b)", ['{i="1"} 2.5']),
        ("round(b, 2)", ['{i="1"} -2']),
        ("clamp(b, 3, 2)", []),
        ("quantile_over_time(0.5, b[5m])", ['{i="1"} -2.5']),
        ("last_over_time(b[5m])", ['b{i="1"} -2.5']),
        ("first_over_time(b[5m])", ['b{i="1"} -2.5']),
        ("max_over_time(b[5m])", ['{i="1"} -2.5']),
        ("delta(a{i='1'}[5m])", ['{i="1"} 50']),
        ("increase((a{i='1'}[5m]))", ['{i="1"} 50']),
        ("predict_linear(a{i='1'}[5m], 60)", ['{i="1"} 110']),
        ("scalar(b) + 1", ["-1.5"]),
        ("scalar(a)", ["NaN"]),
        ("vector(7)", ["{} 7"]),
        ("sort_desc(a)", ['a{i="1"} 100', 'a{i="2"} 5']),
        ('label_replace(b, "j", "$1", "i", "(.*)")', ['b{i="1", j="1"} -2.5']),
        ("minute()", ["{} 10"]),
        ("minute(vector(120))", ["{} 2"]),
        ("day_of_week()", ["{} 4"]),
        ("time()", ["600"]),
    ],
)
def test_functions_get_their_arguments_in_order_and_drop_the_name_where_they_should(
    evaluate, expression, lines
):
    assert evaluate(SERIES, expression, 10) == lines


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("timestamp(a)", "540"),
        ("timestamp((a))", "540"),
        ("timestamp(a offset 1m)", "480"),
        ("timestamp(a @ 60)", "60"),
        ("timestamp(a + 0)", "570"),
        ("timestamp(-a)", "570"),
        ("timestamp(timestamp(a))", "570"),
    ],
)
def test_the_time_of_a_sample_is_known_of_selectors_only(evaluate, expression, seconds):
    assert evaluate("a 0+1x10", expression, 9.5) == [f"{{}} {seconds}"]


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("absent(a)", []),
        ('absent(a{i="3"})', ['{i="3"} 1']),
        ('absent((x{i="3",j!="4",k=~"5"}))', ['{i="3"} 1']),
        ('absent(x{i="3",i="4",j="5"})', ['{j="5"} 1']),
        ('absent(x{i="3",i!="4"})', ["{} 1"]),
        ('absent({__name__="x",i="3"})', ['{i="3"} 1']),
        ('absent(sum(x{i="3"}))', ["{} 1"]),
        ("absent(a > 1000)", ["{} 1"]),
        ("absent_over_time(a[5m])", []),
        ('absent_over_time(x{i="3"}[5m])', ['{i="3"} 1']),
        ('absent_over_time(x{i="3"}[5m:1m])', ["{} 1"]),
        ("absent_over_time(a[5m] offset 1h)", ["{} 1"]),
    ],
)
def test_absence_has_the_labels_that_were_asked_for(evaluate, expression, lines):
    assert evaluate(SERIES, expression, 10) == lines
