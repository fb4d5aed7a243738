"""Whole templates as people write them, to the blank.

The expected texts are those that Velocity 1.7 itself writes.
"""

from __future__ import annotations

import pytest

from tests.unit.templates.vtl.rendered import render

PASSTHROUGH = """\
##  See the API Gateway developer guide
##  This template will pass through all parameters
#set($allParams = {"path": {}, "querystring": {"a":"1","b":"2"}, "header": {"H":"x"}})
#set($stageVariables = {"k": "v", "l": "w"})
{
"body-json" : $n,
"params" : {
#foreach($type in $allParams.keySet())
    #set($params = $allParams.get($type))
"$type" : {
    #foreach($paramName in $params.keySet())
    "$paramName" : "$x.concat($params.get($paramName))"
        #if($foreach.hasNext),#end
    #end
}
    #if($foreach.hasNext),#end
#end
},
"stage-variables" : {
#foreach($key in $stageVariables.keySet())
"$key" : "$x.concat($stageVariables.get($key))"
    #if($foreach.hasNext),#end
#end
},
"context" : {
    "account-id" : "$m.k",
    "api-id" : "$x"
    }
}
"""
PASSTHROUGH_WRITTEN = """\
{
"body-json" : 3,
"params" : {
"path" : {
    }
    ,"querystring" : {
        "a" : "X1"
        ,        "b" : "X2"
            }
    ,"header" : {
        "H" : "Xx"
            }
    },
"stage-variables" : {
"k" : "Xv"
    ,"l" : "Xw"
    },
"context" : {
    "account-id" : "v",
    "api-id" : "X"
    }
}
"""

PHOTOS = """\
#set($inputRoot = {"photos": {"page": 1, "photo": [{"id": "a", "owner": "b"}, {"id": "c", "owner": "d"}]}})
{
    "photos": [
#foreach($elem in $inputRoot.photos.photo)
    {
        "id": "$elem.id",
        "owner": "$elem.owner",
        "title": "$!elem.title",
        "ispublic": 1
    }#if($foreach.hasNext),#end

#end
    ]
}"""
PHOTOS_WRITTEN = """\
{
    "photos": [
    {
        "id": "a",
        "owner": "b",
        "title": "",
        "ispublic": 1
    },
    {
        "id": "c",
        "owner": "d",
        "title": "",
        "ispublic": 1
    }
    ]
}"""

ROWS = """\
#macro(comma)#if($foreach.hasNext),#end#end
#set($a = [1, 2, 3])
#set ( $b = "")
[#foreach($i in $a)
#if($velocityCount == 2)
  ## the second
  #set($b = "$b$i;")
  "$i"
#elseif($i > 2)
  #set($b = "${b}last")
  {"n": $i}
#else
  $i
#end
#comma()
#end]
$b
"""
ROWS_WRITTEN = """\
[  1
,    "2"
,  {"n": 3}
]
2;last
"""

LINES = """\
{
  #if($yes && $list.size() > 2)"many": true#else"many": false#end,
  #set($i = 0)
  #foreach($x in $list)
  #set($i = $i + 1)
  "$x": $i#if($i < $list.size()),#end
  #end
  "price": "$5.00", "mail": "a@b.c", "tag": "#fff", "re": "\\\\d+"
}"""
LINES_WRITTEN = """\
{
  "many": true,
      "a": 1,    "b": 2,    "c": 3    "price": "$5.00", "mail": "a@b.c", "tag": "#fff", "re": "\\\\d+"
}"""


@pytest.mark.parametrize(
    ("template", "written"),
    [
        pytest.param(PASSTHROUGH, PASSTHROUGH_WRITTEN, id="the console's passthrough, with values for its tools"),
        pytest.param(PHOTOS, PHOTOS_WRITTEN, id="a list of photos, as in the developer guide"),
        pytest.param(ROWS, ROWS_WRITTEN, id="comments, conditions and macros between rows"),
        pytest.param(LINES, LINES_WRITTEN, id="directives inside lines, a counter, signs that are text"),
    ],
)
def test_whole_template(template: str, written: str) -> None:
    assert render(template) == written
